"""A program on a terminal of its own, and the user before it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SIZE = (50, 250)
"""Lines and columns: no line of a message is broken."""

SILENCE = 900
"""Seconds."""


@dataclass(frozen=True)
class User:
    process: subprocess.Popen[bytes]
    fd: int

    def read_until(self, wanted: str) -> str:
        """All that is shown until then."""
        seen = ""
        while wanted not in seen:
            ready, _, _ = select.select([self.fd], [], [], SILENCE)
            assert ready, seen[-3000:]
            try:
                data = os.read(self.fd, 4096)
            except OSError:  # it has ended: pty(7)
                data = b""
            assert data, seen[-3000:]
            seen += data.decode(errors="replace")
        return seen

    def type(self, line: str) -> None:
        os.write(self.fd, f"{line}\n".encode())


@contextmanager
def at_terminal(words: Sequence[object], environment: Mapping[str, str]) -> Iterator[User]:
    """environment: beside ours. The program is killed at the end: a test that fails waits for none."""
    fd, own = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    known = os.environ | {"TERM": "dumb", "COLUMNS": str(SIZE[1])} | environment
    try:
        with subprocess.Popen([str(word) for word in words], stdin=own, stdout=own, stderr=own, env=known) as process:
            os.close(own)
            try:
                yield User(process, fd)
            finally:
                process.kill()
    finally:
        os.close(fd)
