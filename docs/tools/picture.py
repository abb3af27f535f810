"""Draw docs/build.svg: the terminal of a real build of recipes/first.ini, each step run anew. `make picture`; root."""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pyte
from pyte.screens import Char
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

from docs.tools.console import ROOT, SIZE, Terminal

LINE = "vmgen-build first.ini -o output"
WIDTH = 84
BEFORE = "export ANA_PASSWORD=no-one-sees-this-one"
COLOURS = {"brown": "yellow", "default": None}
"""Names of pyte that rich has not."""

FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code, ", "")
"""Nothing is loaded from elsewhere."""


def style_of(char: Char) -> Style:
    colour = COLOURS.get(char.fg, char.fg)
    if colour is not None:
        colour = f"#{colour}" if re.fullmatch("[0-9a-f]{6}", colour) else re.sub("^bright(?!_)", "bright_", colour)
    return Style(color=colour, bold=char.bold, italic=char.italics)


def lines_of(screen: pyte.HistoryScreen) -> list[list[Char]]:
    """What stands on it, line by line. A full row goes on below."""
    rows = [*screen.history.top, *(screen.buffer[number] for number in range(SIZE[0]))]
    lines: list[list[Char]] = [[]]
    for row in rows:
        lines[-1] += [row[column] for column in range(SIZE[1])]
        if lines[-1][-1].data == " ":
            lines.append([])
    return lines


def text_of(line: list[Char], cache: Path) -> Text:
    """Without the day and this machine's folders; cut to the picture's width."""
    for pattern, short in ((re.escape(str(cache)), "cache"), (r"-\d{8}-\d{6}(?=\.log)", "-…")):
        if match := re.search(pattern, "".join(char.data for char in line)):
            first = line[match.start()]
            line = [*line[: match.start()], *(first._replace(data=data) for data in short), *line[match.end() :]]
    text = Text.assemble(*((char.data, style_of(char)) for char in line))
    text.rstrip()
    text.truncate(WIDTH, overflow="ellipsis")
    return text


def drawn(rows: list[Text]) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for row in rows:
        console.print(row, no_wrap=True, crop=True)
    return console.export_svg(title=LINE, code_format=FORMAT, unique_id="build")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("picture", type=Path)
    asked.add_argument("--cache", type=Path, default=ROOT / "cache", help="of vmgen-build")
    args = asked.parse_args()
    cache = args.cache.resolve()
    screen = pyte.HistoryScreen(SIZE[1], SIZE[0], history=10_000, ratio=1)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "recipes/first.ini", folder)
        Terminal(Path(folder), cache).feed(f"{BEFORE}\n{LINE} --no-cache", pyte.ByteStream(screen).feed)
    shown = [text_of(line, cache) for line in lines_of(screen)]
    while shown and not shown[-1].plain:
        shown.pop()
    if not any("sha256" in row.plain for row in shown):
        print("\n".join(row.plain for row in shown), file=sys.stderr)
        return 1
    args.picture.write_text(drawn([Text(f"# {LINE}", Style(bold=True)), *shown]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
