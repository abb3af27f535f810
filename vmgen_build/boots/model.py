"""An artifact that was booted in order to be looked at or used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.events import Bus
from vmgen_build.guests.model import Communicator

SKIPPED = 77
"""Exit code of a guest's probe that cannot be asked on this host (as automake's tests have it)."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot, inside a worker (host.namespaces) that has a network of its own.

    scratch: an empty folder whose parent's name is the lease's tag. timeout: seconds that the boot may take. up: script
    that ends with 0 once the system is up, and prints its state. trusted: a container may be root of this host. arch:
    of the machine's programs, in Debian's words; "" for this host's.
    """

    bus: Bus
    scratch: Path
    timeout: float
    up: str
    trusted: bool = False
    arch: str = ""


class Booted(ABC):
    """A machine made from an artifact, up and running, with the network that its recipe expects around it."""

    emulated: bool = False
    """Whether its programs run by qemu-user, on the kernel of another architecture."""

    @property
    @abstractmethod
    def communicator(self) -> Communicator: ...

    @abstractmethod
    def reach(self, address: str, port: int) -> str:
        """Ask from outside: "open" (connected or refused), or "closed" (no answer)."""


class Elsewhere(ABC):
    """A place other than this host, where a throwaway machine is booted that cannot be asked here."""

    @abstractmethod
    def booted(
        self, artifact: Path, manifest: Mapping[str, object], scratch: Path, bus: Bus, timeout: float | None
    ) -> AbstractContextManager[Booted]:
        """A copy of the artifact, which is gone at the end. manifest: of the machine. scratch: an empty folder, as of
        Boot. timeout: seconds, None for its own measure. Raises BuildError, HostError."""
