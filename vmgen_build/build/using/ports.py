"""Ports of this host that lead to those of a machine: listened to here, before anything is made."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vmgen_build.boots.model import Booted
from vmgen_build.errors import HostError, UsageError, VmgenError
from vmgen_build.host.relay import Relay

HERE = "127.0.0.1"
SSH = 22


@dataclass(frozen=True, slots=True)
class Port:
    """here: of this host's loopback, 0 for any that is free. there: the machine's."""

    here: int
    there: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A port that is listened to. there: the machine's."""

    listener: socket.socket
    there: int

    @property
    def shown(self) -> str:
        return f"{HERE}:{self.listener.getsockname()[1]} leads to its port {self.there}"

    def ssh(self, user: str) -> str:
        """The command by which this user enters the machine."""
        return f"ssh -p {self.listener.getsockname()[1]} {user}@{HERE}"

    def lead_to(self, machine: Booted) -> None:
        """From now on, until the process ends."""

        def connect() -> socket.socket:
            try:
                return machine.connect(self.there)
            except VmgenError as error:
                raise OSError(str(error)) from error

        Relay(self.listener, connect)


def parse_port(text: str) -> Port:
    """ "8080:80", or "80" for any free port of this host. Raises UsageError."""
    here, _, there = text.rpartition(":")
    numbers = [one for one in (here or "0", there) if one.isascii() and one.isdigit() and int(one) < 65536]
    if len(numbers) != 2 or not int(there) or here == "0":
        raise UsageError(
            f"--port '{text}': write HOST:GUEST, as 8080:80, or GUEST alone for any free port of this host"
        )
    return Port(int(numbers[0]), int(numbers[1]))


def chosen(texts: Sequence[str], *, none: bool) -> tuple[Port, ...] | None:
    """Those that are named; no port at all where there are to be none; else None. Raises UsageError."""
    if none and texts:
        raise UsageError("--port and --no-ports: leave one of them out")
    return tuple(map(parse_port, texts)) if none or texts else None


@contextmanager
def listening(ports: Sequence[Port]) -> Iterator[tuple[Opened, ...]]:
    """Raises HostError for a port that is taken."""
    with ExitStack() as undo:
        found = []
        for port in ports:
            try:
                listener = undo.enter_context(socket.create_server((HERE, port.here)))
            except OSError as error:
                taken = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror
                raise HostError(
                    f"--port {port.here}:{port.there}: {taken}; take another port, or leave it out: {port.there}"
                ) from error
            found.append(Opened(listener, port.there))
        yield tuple(found)
