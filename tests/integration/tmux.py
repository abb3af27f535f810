"""A terminal as people have it: tmux(1), typed into and looked at from outside. It breaks lines and keeps colours."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docs.tools.console import PROGRAMS, ROOT

PROMPT = re.compile(r"\[(\d+)\]\$")
"""The shell's, with the exit code of the last command."""

SETTINGS = """\
set -g status off
set -g history-limit 10000
set -g default-terminal screen-256color
"""

PATIENCE = 600
"""Seconds."""


@dataclass(frozen=True)
class Done:
    """What a command left on the screen. whole: with what was scrolled away, lines that the terminal broke as one."""

    code: int
    lines: list[str]
    whole: str


@dataclass(frozen=True)
class Desk:
    """One window of a server of our own."""

    socket: Path

    def tmux(self, *words: object) -> str:
        command = ["tmux", "-S", str(self.socket), *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def screen(self, *more: str) -> list[str]:
        """Its lines, without the empty ones below. more: of capture-pane."""
        return [line.rstrip() for line in self.tmux("capture-pane", "-p", *more).rstrip().split("\n")]

    def colours(self, text: str) -> set[str]:
        """The colours, by the numbers of ECMA-48's SGR, of the lines that hold the text."""
        lines = [line for line in self.screen("-e") if text in re.sub(r"\x1b\[[\d;]*m", "", line)]
        assert lines, "\n".join(self.screen())
        found = re.findall(r"\x1b\[([\d;]*)m", "".join(lines))
        return {one for codes in found for one in codes.split(";") if re.fullmatch("[349][0-8]", one)}

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-l", "--", line)
        self.key("Enter")

    def key(self, name: str) -> None:
        self.tmux("send-keys", name)

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def until(self, *texts: str) -> list[str]:
        """The lines of the first screen that holds all these."""
        return self._until(lambda lines: all(any(text in line for line in lines) for text in texts), texts)

    def begin(self, line: str) -> None:
        """Type a command on an empty screen."""
        self.tmux("send-keys", "-R", ";", "clear-history")
        self.type(line)

    def end(self) -> Done:
        """Wait until there is a prompt again. The lines behind what was typed."""
        lines = self._until(lambda lines: PROMPT.fullmatch(lines[-1]) is not None, ("a prompt",))
        code = PROMPT.fullmatch(lines[-1])
        assert code is not None
        whole = self.screen("-J", "-S", "-")
        return Done(int(code[1]), lines[:-1], "\n".join(whole[1:-1]))

    def do(self, line: str) -> Done:
        self.begin(line)
        return self.end()

    def _until(self, wanted: object, what: tuple[str, ...]) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        while not wanted(lines := self.screen()):  # type: ignore[operator]
            assert time.monotonic() < deadline, f"{what} did not come:\n" + "\n".join(lines)
            time.sleep(0.05)
        return lines


@contextmanager
def desk(folder: Path, environ: Mapping[str, str], size: tuple[int, int]) -> Iterator[Desk]:
    """A shell in this folder, which knows the tool's commands. size: columns and rows."""
    programs = folder / ".bin"
    programs.mkdir()
    for name, how in PROGRAMS.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {how} "$@"\n')
        (programs / name).chmod(0o755)
    (folder / ".tmux").write_text(SETTINGS)
    path = f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    known = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "LC_ALL": "C.UTF-8", "PS1": "[$?]$ "} | environ
    shell = shlex.join(["env", "-i", "TERM=screen-256color", *(f"{key}={value}" for key, value in known.items())])
    shown = Desk(folder / ".socket")
    columns, rows = size
    try:
        options = ("-f", folder / ".tmux", "new-session", "-d", "-c", folder, "-x", columns, "-y", rows)
        shown.tmux(*options, f"{shell} bash --norc --noprofile")
        shown.end()
        yield shown
    finally:
        subprocess.run(["tmux", "-S", str(shown.socket), "kill-server"], capture_output=True)
