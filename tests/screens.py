"""A terminal whose screen can be looked at while a program writes to it: a pty(7) before pyte's model of a screen."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyte

OURS = ("NO_COLOR", "COLUMNS", "LINES", "CI", "GITHUB_ACTIONS", "GITLAB_CI")


@dataclass
class Window:
    """process: its input is a pipe of ours. fd: the terminal's other end."""

    process: subprocess.Popen[bytes]
    fd: int
    screen: pyte.Screen
    stream: pyte.ByteStream

    def read(self) -> bool:
        """Take what has been written; false at its end."""
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # it has ended: pty(7)
            return False
        self.stream.feed(data)
        return bool(data)

    def until(self, title: str) -> list[str]:
        """Read until the program gives the window this title; the lines then."""
        while self.screen.title != title:
            assert self.read(), "\n".join(self.screen.display)
        return self.lines()

    def until_shown(self, *texts: str) -> list[str]:
        """Read until one screen holds all these; its lines."""
        while not all(any(text in line for line in self.lines()) for text in texts):
            assert self.read(), "\n".join(self.screen.display)
        return self.lines()

    def to_its_end(self, code: int = 0) -> list[str]:
        if self.process.poll() is None:
            self.go_on()
        while self.read():
            pass
        assert self.process.wait() == code, "\n".join(self.screen.display)
        return self.lines()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def colours(self, text: str) -> set[str]:
        """Those of the characters of the first line that holds the text."""
        row = next(number for number, line in enumerate(self.screen.display) if text in line)
        return {self.screen.buffer[row][column].fg for column in range(self.screen.columns)}

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)


@contextmanager
def window(words: Sequence[str], columns: int, rows: int, environ: Mapping[str, str]) -> Iterator[Window]:
    """environ: beside ours."""
    fd, own = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    known = {key: value for key, value in os.environ.items() if key not in OURS}
    known |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | environ
    screen = pyte.Screen(columns, rows)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=own, stderr=own, env=known) as process:
        os.close(own)
        try:
            yield Window(process, fd, screen, pyte.ByteStream(screen))
        finally:
            process.kill()
    os.close(fd)
