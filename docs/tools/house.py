"""Draw docs/house.svg: the way the data goes, and the rooms of docs/how-it-works.md. `make picture`."""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "how-it-works.md"
WIDTH, HEIGHT = 940, 640
PURE = ("plan", "installers", "recipe", "catalogue", "systems")
"""They start no process, open no socket and need no root."""

WAY = (
    ("lab.ini", "profiles, files, scripts beside it", "file"),
    ("Recipe", "parsed with positions; all mistakes at once", "data"),
    ("Plan", "ordered steps, each with an id: the hash of what it depends on", "data"),
    ("for each step", "its layer is there? take it : run it in a guest, keep the layer", "work"),
    ("Tree | Disks", "what all layers make", "data"),
    ("artifact + manifest", "tarball, OVA, qcow2, template, ...", "file"),
    ("verify", "a copy boots, and is asked each setting of the recipe", "work"),
)
VERBS = ("parse", "plan(recipe, backend)", "build(plan) in a place", "stack", "pack", "boot")
"""Between two of WAY."""

AXES = (("family", "the guest's system"), ("place", "where the plan runs"), ("backend", "what comes out"))
COLOURS = {"file": "#fff4d6", "data": "#e3f0ff", "work": "#e2f5e4", "room": "#f3f3f6", "pure": "#e3f0ff"}
STYLE = """
text { font-family: sans-serif; font-size: 13px; fill: #1b1f24; }
.head { font-size: 15px; font-weight: bold; }
.name { font-weight: bold; }
.small { font-size: 11px; fill: #444c56; }
.verb { font-size: 12px; font-style: italic; fill: #444c56; }
rect { stroke: #8c959f; }
line { stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip); }
"""
TIP = (
    '<marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
    '<path d="M0,0 L6,3 L0,6 Z" fill="#57606a"/></marker>'
)


def rooms(page: str) -> list[tuple[str, str]]:
    """Name and purpose, from the top of the house down, as the page's table has them."""
    found = re.findall(r"^\| `(\w+)/` \| (.*?)[:;|.]", page, re.MULTILINE)
    return [(name, about.strip().replace("`", "")) for name, about in found]


def text(x: int, y: int, words: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def box(x: int, y: int, width: int, height: int, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{COLOURS[colour]}"/>'


def way() -> list[str]:
    parts = [text(30, 38, "The way the data goes", "head")]
    for number, (name, about, kind) in enumerate(WAY):
        y = 56 + number * 72
        parts += [box(30, y, 440, 44, kind), text(44, y + 18, name, "name"), text(44, y + 35, about, "small")]
        if number < len(VERBS):
            parts += [f'<line x1="70" y1="{y + 44}" x2="70" y2="{y + 70}"/>', text(84, y + 62, VERBS[number], "verb")]
    parts.append(text(30, 582, "Chosen apart from each other, and none names another:", "small"))
    for number, (name, about) in enumerate(AXES):
        x = 30 + number * 150
        parts += [box(x, 590, 140, 38, "room"), text(x + 8, 605, name, "name"), text(x + 8, 621, about, "small")]
    return parts


def house(found: list[tuple[str, str]]) -> list[str]:
    parts = [text(520, 38, "The house: imports go down only", "head")]
    height = 540 // len(found)
    for number, (name, about) in enumerate(found):
        y = 56 + number * height
        colour = "pure" if name in PURE else "room"
        middle = y + height // 2 + 2
        parts += [box(520, y, 395, height - 5, colour), text(532, middle, f"{name}/", "name")]
        parts.append(text(622, middle, about, "small"))
    parts += [
        box(520, 604, 14, 14, "pure"),
        text(542, 615, "starts no process, opens no socket, needs no root", "small"),
    ]
    return parts


def drawn(page: str) -> str:
    frame = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = "<title>How a recipe becomes an image, and the rooms of the code</title>"
    lines = [
        head,
        title,
        f"<style>{STYLE}</style>",
        f"<defs>{TIP}</defs>",
        frame,
        *way(),
        *house(rooms(page)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(PAGE.read_text()))
