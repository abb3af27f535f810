"""Our own terminal, joined with something that speaks as a terminal does: in raw mode (termios(3)), byte for byte."""

from __future__ import annotations

import os
import selectors
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

KEYS, SCREEN = 0, 1
"""Descriptors of our own."""

TICK = 0.5
"""Seconds between two looks at the size of the terminal."""

_CHUNK = 1 << 14

USUAL = (80, 24)
"""Columns and lines of what is no terminal."""


class Wire(Protocol):
    """The other end: a socket, or what behaves as one."""

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> object: ...


def size() -> tuple[int, int]:
    """Columns and lines."""
    try:
        found = os.get_terminal_size(SCREEN)
    except OSError:
        return USUAL
    return found.columns or USUAL[0], found.lines or USUAL[1]


def join(
    wire: Wire,
    mark: bytes = b"",
    resized: Callable[[int, int], object] = lambda columns, lines: None,
    leave: bytes = b"",
    reminder: Reminder | None = None,
) -> bool:
    """Carry keys there and what comes back here, until the other end closes, or sends `mark`, which is not shown.

    leave: a key that ends it, and does not go there. Whether that key did. resized: called with the columns and lines
    of the terminal when they have become others. Keys that have ended, as those of a pipe do, are the end of the input
    there (^D).
    """
    until = Until(mark)
    with _raw(KEYS), selectors.PollSelector() as waiting:
        waiting.register(KEYS, selectors.EVENT_READ, "keys")
        waiting.register(wire, selectors.EVENT_READ, "wire")
        before = size()
        while True:
            for key, _ in waiting.select(TICK):
                if key.data == "wire":
                    data = wire.recv(_CHUNK)
                    _write(until.shown(data))
                    _write(reminder.behind(data) if reminder else b"")
                    if not data or until.found:
                        return False
                elif keys := os.read(KEYS, _CHUNK):
                    wire.sendall(keys.partition(leave)[0] if leave else keys)
                    if leave and leave in keys:
                        return True
                else:
                    waiting.unregister(KEYS)
                    wire.sendall(b"\x04")
            if (now := size()) != before:
                before = now
                resized(*now)


class Reminder:
    """A line that is shown above the first prompt for a login: what was said before the boot has gone up by then."""

    PROMPT = b"login: "

    def __init__(self, text: str) -> None:
        self._text, self._line = text.encode(), b""

    def behind(self, data: bytes) -> bytes:
        """What is to be written behind these: the prompt's line is written anew, below the text."""
        self._line = (self._line + data).rpartition(b"\n")[2][-_CHUNK:]
        if not self._text or not self._line.endswith(self.PROMPT):
            return b""
        shown, self._text = b"\r\x1b[K" + self._text + b"\r\n" + self._line, b""
        return shown


class Until:
    """Lets a stream through up to a mark, which may come in pieces. found: whether it has come."""

    def __init__(self, mark: bytes) -> None:
        self._mark, self._kept, self.found = mark, b"", False

    def shown(self, data: bytes) -> bytes:
        """What of the stream can be shown now; at its end (no data), all that was kept back."""
        whole = self._kept + data
        if not data or not self._mark:
            self._kept = b""
            return whole
        before, found, _ = whole.partition(self._mark)
        if found:
            self.found, self._kept = True, b""
            return before
        lengths = range(min(len(self._mark) - 1, len(whole)), 0, -1)
        kept = next((length for length in lengths if whole.endswith(self._mark[:length])), 0)
        self._kept = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Of what is no terminal nothing is changed."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(SCREEN, data) :]
