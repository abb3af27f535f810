"""Run the commands of a page's console blocks in a terminal, and compare what they show with what the page says.

As root: `python -m docs.tools.console docs/tutorial.md --cache DIR` puts in what they show now, where it is alike.

In a block `# ` and `$ ` begin a command, and `(5 more lines)` stands for lines left out. A block of INI behind
"Save it as `NAME`" becomes that file. Figures, digests, passwords and blanks are not compared.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
SIZE = (24, 120)
"""Lines and columns."""

LEFT_OUT = re.compile(r"^( *)\(\d+ more lines?\)$")
PARTS = re.compile(
    r"Save it as `(?P<name>[^`]+)`[^`]*```ini\n(?P<ini>.*?)```|```console\n(?P<console>.*?)```", re.DOTALL
)
PROGRAMS = {"vmgen-build": "-m vmgen_build", "vmgctl": "-c 'from vmgen_build.__main__ import vmgctl; vmgctl()'"}


@dataclass(frozen=True)
class Command:
    """One command of a page, and the lines below it. place: where these stand in the page's text."""

    line: str
    shown: tuple[str, ...]
    place: tuple[int, int]


@dataclass(frozen=True)
class File:
    name: str
    text: str


@dataclass
class Terminal:
    """A shell's folder and environment. What one command exports, the later ones have."""

    folder: Path
    cache: Path
    exported: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        programs = self.folder / ".bin"
        programs.mkdir()
        for name, how in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {how} "$@"\n')
            (programs / name).chmod(0o755)

    def run(self, line: str) -> list[str]:
        """What stands on the screen in the end, without paths of this machine. A full row goes on below."""
        if line.startswith("export "):
            self.exported.append(line)
            return []
        screen = _Screen(SIZE[1], SIZE[0], history=10_000, ratio=1)
        stream = pyte.ByteStream(screen)
        self.feed("\n".join([*self.exported, line]), stream.feed)
        rows = [*screen.history.top, *(screen.buffer[number] for number in range(SIZE[0]))]
        text = "".join(screen.text_of(row) for row in rows).rstrip()
        return text.replace(str(self.cache), "cache").replace(f"{self.folder}/", "").split("\n") if text else []

    def feed(self, script: str, take: Callable[[bytes], None]) -> None:
        """Run a script of sh on a terminal, and give what it writes to `take` as it comes."""
        fd, own = pty.openpty()
        fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        known = {
            "PATH": f"{self.folder}/.bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "VMGEN_CACHE": str(self.cache),
        }
        with subprocess.Popen(["sh", "-c", script], cwd=self.folder, env=known, stdin=own, stdout=own, stderr=own):
            os.close(own)
            while data := _read(fd):
                take(data)
        os.close(fd)


class _Screen(pyte.HistoryScreen):  # type: ignore[misc]  # pyte has no types
    """A screen that knows which of its rows go on below, where another is merely full."""

    def __init__(self, columns: int, lines: int, history: int, ratio: float) -> None:
        super().__init__(columns, lines, history, ratio)
        self.going_on: list[object] = []

    def draw(self, data: str) -> None:
        for character in data:
            if self.cursor.x == self.columns:
                self.going_on.append(self.buffer[self.cursor.y])
            super().draw(character)

    def text_of(self, row: Mapping[int, pyte.screens.Char]) -> str:
        """A row's text, with a line break where it ends there."""
        text = "".join(row[column].data for column in range(self.columns))
        goes_on = text[-1] != " " and any(row is other for other in self.going_on)
        return text if goes_on else f"{text.rstrip()}\n"


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # the program has ended: pty(7)
        return b""


def parts_of(page: str) -> list[Command | File]:
    """The commands and files of a page, in its order."""
    found: list[Command | File] = []
    for match in PARTS.finditer(page):
        if match["name"]:
            found.append(File(match["name"], match["ini"]))
            continue
        at = match.start("console")
        for block in re.finditer(r"^[#$] (.+)\n((?:(?![#$] ).*\n)*)", match["console"], re.MULTILINE):
            lines = block[2].rstrip("\n").split("\n") if block[2].strip() else []
            end = at + block.start(2) + len("".join(f"{line}\n" for line in lines))
            found.append(Command(re.sub(r"  +# .*", "", block[1]), tuple(lines), (at + block.start(2), end)))
    return found


def likened(line: str) -> str:
    """What two runs have alike in a line."""
    line = re.sub(r"; \d+ of \d+ steps from the cache", "", line)
    line = re.sub(r"\b[0-9a-f]{12,}\b", "HEX", line)
    line = re.sub(r"\b(?:[a-z]{4}-){3,}[a-z]{4}\b", "PASSWORD", line)
    line = re.sub(r"\d+(?:\.\d+)? min(?: \d+ s)?|\d+(?:\.\d+)? (?:s|ms)\b|\bcached\b|\bto run\b", "TIME", line)
    line = re.sub(r"\d+(?:\.\d+)? (?:B|kB|MB|GB)\b", "SIZE", line)
    line = re.sub(r"\d+(?:[.:,-]\d+)*", "0", line)
    return re.sub(r"[ ─━]+", " ", line).strip()


def matched(said: Sequence[str], real: Sequence[str]) -> list[str] | None:
    """The lines said, as they really are now; None where they are not alike."""
    if not said:
        return [] if not real else None
    if left := LEFT_OUT.match(said[0]):
        for skipped in range(len(real) + 1):
            rest = matched(said[1:], real[skipped:])
            if rest is not None:
                return [f"{left[1]}({skipped} more line{'s' if skipped != 1 else ''})", *rest]
        return None
    if not real or likened(said[0]) != likened(real[0]):
        return None
    rest = matched(said[1:], real[1:])
    return None if rest is None else [real[0], *rest]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("page", type=Path)
    asked.add_argument("--fill", action="store_true", help="put in what commands show that have nothing below them")
    asked.add_argument("--cache", type=Path, required=True, help="of vmgen-build")
    args = asked.parse_args()
    text, changed, wrong = args.page.read_text(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(Path(folder), args.cache.resolve())
        for part in parts_of(text):
            if isinstance(part, File):
                (terminal.folder / part.name).write_text(part.text)
                continue
            real = terminal.run(part.line)
            new = real if args.fill and not part.shown else matched(part.shown, real)
            print(f"{'ok  ' if new is not None else 'DIFFERS'} {part.line}", flush=True)
            if new is None:
                wrong += 1
                print("\n".join(real), flush=True)
            else:
                changed.append((part.place, "".join(f"{line}\n" for line in new)))
    for (start, end), lines in reversed(changed):
        text = text[:start] + lines + text[end:]
    args.page.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
