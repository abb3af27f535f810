"""What a backend is: what to make, where its plan may run, how it is packed, how it is booted to be verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.events import Bus, ProbeDone
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.node.driver import Driver
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.plan.model import Plan, Probe, Step
from vmgen_build.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class BackendPart:
    """A backend's own share of a plan: the steps that only it needs, its build recipe (path -> text), and probes.

    without: names of shared steps' probes that do not hold in this backend's machines; `probes` may ask instead.
    """

    steps: tuple[Step, ...] = ()
    build_recipe: Mapping[str, str] | None = None
    probes: tuple[Probe, ...] = ()
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that came out: under its final name, with its size in bytes and sha256."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackOptions:
    """compression: as --compression says, where a whole artifact is compressed. format: one of the backend's."""

    compression: str
    format: str

    def __str__(self) -> str:
        """What tells artifacts of one plan apart; safe in a file's name."""
        return f"{self.format}-{self.compression.replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program of the host that some work needs; package: Debian's name of what brings it."""

    command: str
    package: str
    why: str


class Booted(ABC):
    """A machine made from an artifact, up and running, with the network that its recipe expects around it."""

    @property
    @abstractmethod
    def communicator(self) -> Communicator: ...

    @abstractmethod
    def reach(self, address: str, port: int) -> str:
        """Ask from outside: "open" (connected or refused), or "closed" (no answer)."""


class Backend(ABC):
    """One file of backends/ each; found by its name there."""

    name: ClassVar[str]
    requirements: ClassVar[tuple[Requirement, ...]] = ()
    formats: ClassVar[tuple[str, ...]] = ("tar",)
    """What --format may name, the default first."""
    boot_requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What only booting needs."""
    node_driver: ClassVar[type[Driver]] = LxcDriver
    """What drives a node that --host names."""
    boot_timeout: ClassVar[float] = 180.0
    """Seconds that a boot may take."""

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        """What this very plan needs of the host beyond `requirements`."""
        return ()

    @abstractmethod
    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> BackendPart:
        """The backend's share of the plan. Pure. epoch: as Plan.epoch."""

    @abstractmethod
    def pack(self, plan: Plan, root: Path, out: Path, options: PackOptions, bus: Bus) -> tuple[Packed, ...]:
        """Make the artifacts, the main one first, from the root file system at `root` (read-only). The folder that
        holds `root` is scratch space on the cache's disk."""

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        """What can be told of the file without booting it, beyond its digest."""
        return []

    @abstractmethod
    def boot(
        self, artifact: Path, manifest: Mapping[str, object], bus: Bus, *, scratch: Path, timeout: float
    ) -> AbstractContextManager[Booted]:
        """Boot a throwaway copy of the artifact, and wait until it is up.

        Called in a worker of guests.namespaces that has a network of its own. scratch: an empty folder whose parent's
        name is the lease's tag; timeout: seconds that the boot may take.
        """
