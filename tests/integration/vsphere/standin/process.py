"""The stand-in as a whole: the server, its settings, and the ground behind its machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.vsphere.simulator import Simulator, started
from tests.integration.vsphere.standin.ground import Ground, served
from tests.integration.vsphere.standin.settings import SettingsFile
from vmgen_build.plan.machine import Machine


@dataclass(frozen=True)
class StandIn:
    server: Simulator
    settings: SettingsFile
    ground: Ground


@contextmanager
def stand_in(
    program: Path, folder: Path, shared: Path, machine: Machine | None, *options: str, epoch: int = 0
) -> Iterator[StandIn]:
    """folder: a new one, with a short path, for it is that of a socket. shared, machine, epoch: as in Ground."""
    folder.mkdir()
    (folder / "ground").mkdir()
    ground = Ground(folder / "ground", shared, machine, epoch)
    settings = SettingsFile(folder / "settings.json")
    socket = folder / "socket"
    words = (*options, "-settings", str(settings.path), "-ground", str(socket))
    with served(ground, socket), started(program, folder / "server.log", *words, password="c4n4ry-Serv3r") as server:
        yield StandIn(server, settings, ground)
