"""An artifact that was booted in order to be looked at or used."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

from vmgen_build.boots.console import Console
from vmgen_build.errors import HostError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Communicator
from vmgen_build.limits import GUEST_TIME, Limit

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface

SKIPPED = 77
"""Exit code of a guest's probe that cannot be asked on this host (as automake's tests have it)."""


@dataclass(frozen=True, slots=True)
class Use:
    """How somebody uses a booted machine, who may take as long as they like.

    console: what is joined with its console from the first moment on; its boot is not waited for then, and nothing is
    put into it. None: it is waited for. addresses, gateways: those that it gives itself, each with its network adapter,
    where the machine cannot be asked for them. window: whether its screen is to be shown.
    """

    console: Console | None = None
    addresses: tuple[tuple[str, IPInterface], ...] = ()
    gateways: tuple[tuple[str, IPAddress], ...] = ()
    window: bool = False


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot, inside a worker (host.namespaces) that has a network of its own.

    scratch: an empty folder whose parent's name is the lease's tag. timeout: seconds that the boot may take. up: script
    that ends with 0 once the system is up, and prints its state. trusted: a container may be root of this host. arch:
    of the machine's programs, in Debian's words; "" for this host's. use: None for a machine that is looked at.
    """

    bus: Bus
    scratch: Path
    timeout: float
    up: str
    trusted: bool = False
    arch: str = ""
    use: Use | None = None

    @property
    def console(self) -> Console | None:
        return self.use.console if self.use else None

    @property
    def time(self) -> Limit | None:
        """How long it may run."""
        return None if self.use else GUEST_TIME


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

    def connect(self, port: int) -> socket.socket:
        """A connection to a TCP port of it, from outside. Raises OSError where there is none; HostError for one whose
        network is not known."""
        raise HostError("no port of this machine can be reached")

    def shell(self, command: Sequence[str]) -> int:
        """Run a command in it on our own terminal; its exit code. Raises HostError where it has no such way in."""
        raise HostError("there is no way into this machine but its console: vmgen-build run shows it")

    def show(self) -> None:
        """Its screen in a window, until that is closed or the machine ends. Raises HostError where it has none."""
        raise HostError("this machine has no screen that could be shown")

    def wait(self) -> None:
        """Until it ends by itself."""
        raise HostError("this machine has no end of its own")


class Elsewhere(ABC):
    """A place other than this host, where a throwaway machine is booted that cannot be asked here."""

    @abstractmethod
    def booted(
        self, artifact: Path, manifest: Mapping[str, object], scratch: Path, bus: Bus, timeout: float | None
    ) -> AbstractContextManager[Booted]:
        """A copy of the artifact, which is gone at the end. manifest: of the machine. scratch: an empty folder, as of
        Boot. timeout: seconds, None for its own measure. Raises BuildError, HostError."""
