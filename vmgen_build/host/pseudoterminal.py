"""Programs on a terminal of their own (pty(7)), which is joined with ours: what runs there cannot type into ours, and
Ctrl-C is theirs."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress

from vmgen_build.host import terminal
from vmgen_build.host.environment import ON_TERMINAL, environment, own
from vmgen_build.host.run import Word, kill, start_on


class Screen:
    """Our end of a new terminal. inner: the other one, as long as nobody has closed it."""

    def __init__(self) -> None:
        self._ours, self.inner = os.openpty()
        self.resize(*terminal.size())

    def fileno(self) -> int:
        return self._ours

    def recv(self, size: int, /) -> bytes:
        """b"" once nobody has the other end any more: the kernel says EIO then."""
        try:
            return os.read(self._ours, size)
        except OSError:
            return b""

    def sendall(self, data: bytes, /) -> None:
        """What nobody is there for any more is dropped: `recv` says so."""
        with suppress(OSError):
            while data:
                data = data[os.write(self._ours, data) :]

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close_inner(self) -> None:
        if self.inner >= 0:
            os.close(self.inner)
            self.inner = -1

    def close(self) -> None:
        self.close_inner()
        os.close(self._ours)


class Session:
    """A program on our terminal: on one of its own that is joined with it, or, where our input or output is none, with
    our input and output themselves. It is begun at once; `end` waits for it."""

    def __init__(self, argv: Sequence[Word], prepare: Callable[[], object] | None = None) -> None:
        self._screen = Screen() if sys.stdin.isatty() and sys.stdout.isatty() else None
        inner = None if self._screen is None else self._screen.inner
        self._process = start_on(argv, inner, environment(own(ON_TERMINAL)), prepare)
        if self._screen is not None:
            self._screen.close_inner()

    def end(self) -> int:
        """Its exit code, 128 + n after signal n. Whatever ends the waiting ends the program."""
        try:
            if self._screen is not None:
                terminal.join(self._screen, resized=self._screen.resize)
            code = self._process.wait()
            return code if code >= 0 else 128 - code
        finally:
            kill(self._process)
            if self._screen is not None:
                self._screen.close()
