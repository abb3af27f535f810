"""The console of a machine that is used: our end of it, and the machine's own, a terminal for a container, a socket
for QEMU."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from vmgen_build.errors import BuildError
from vmgen_build.host import terminal
from vmgen_build.host.pseudoterminal import Screen

LEAVE = b"\x1d"
"""Ctrl-], which ends it, as it leaves virsh's and telnet's."""


class Console:
    """The machine takes the end that it needs, once."""

    def __init__(self) -> None:
        self._screen: Screen | None = None
        self._ours: socket.socket | None = None
        self._inner: socket.socket | None = None

    def as_terminal(self) -> int:
        """Open until `given`."""
        self._screen = Screen()
        return self._screen.inner

    def as_socket(self) -> int:
        """Open until `given`."""
        self._ours, self._inner = socket.socketpair()
        return self._inner.fileno()

    def given(self) -> None:
        """The machine has its end: nobody else keeps it open."""
        if self._screen is not None:
            self._screen.close_inner()
        if self._inner is not None:
            self._inner.close()

    def join(self, reminder: str = "") -> bool:
        """Join our own terminal with it until the machine ends. Whether LEAVE ended it. reminder: shown where the
        machine asks who logs in, if our screen is a terminal."""
        above = terminal.Reminder(reminder) if os.isatty(terminal.SCREEN) else None
        if self._screen is not None:
            return terminal.join(self._screen, resized=self._screen.resize, leave=LEAVE, reminder=above)
        if self._ours is not None:
            return terminal.join(_Line(self._ours), leave=LEAVE, reminder=above)
        raise BuildError("the machine has no console to be shown")

    def drop(self) -> None:
        """From now on nobody looks at it, and what comes is dropped: a machine that cannot write to it waits."""
        assert self._ours is not None
        threading.Thread(target=_drain, args=(self._ours,), daemon=True).start()


def _drain(line: socket.socket) -> None:
    with suppress(OSError):
        while line.recv(1 << 16):
            continue


class _Line:
    """A socket whose other end may be gone at any time: that is its end."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def fileno(self) -> int:
        return self._line.fileno()

    def recv(self, size: int, /) -> bytes:
        try:
            return self._line.recv(size)
        except ConnectionError:
            return b""

    def sendall(self, data: bytes, /) -> None:
        with suppress(ConnectionError):
            self._line.sendall(data)
