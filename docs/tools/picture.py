"""Draw docs/build.svg: the terminal of a real build of recipes/first.ini, each step run anew. `make picture`; root."""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
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


def row_of(row: Mapping[int, Char]) -> Text:
    text = Text()
    for column in range(SIZE[1]):
        text.append(row[column].data, style_of(row[column]))
    text.rstrip()
    return text


def cleaned(text: Text, cache: Path) -> Text:
    """Without the day and this machine's folders; cut to the picture's width."""
    for pattern, short in ((re.escape(str(cache)), "cache"), (r"-\d{8}-\d{6}(?=\.log)", "-…")):
        if match := re.search(pattern, text.plain):
            text = Text.assemble(text[: match.start()], short, text[match.end() :])
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
    rows = [*screen.history.top, *(screen.buffer[number] for number in range(SIZE[0]))]
    shown = [cleaned(row_of(row), cache) for row in rows]
    while shown and not shown[-1].plain:
        shown.pop()
    if not any("sha256" in row.plain for row in shown):
        print("\n".join(row.plain for row in shown), file=sys.stderr)
        return 1
    args.picture.write_text(drawn([Text(f"# {LINE}", Style(bold=True)), *shown]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
