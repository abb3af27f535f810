"""The table of what was tried with which program, as docs/formats.md has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.consumers.model import Try

BEGIN, END = "<!-- consumers -->\n", "<!-- end of consumers -->\n"
HEAD = "| program | tried | result | on |\n|---|---|---|---|\n"


def row(one: Try, day: str) -> str:
    """day: as 2026-12-01."""
    result = "; ".join(one.wrong).replace("|", "\\|").replace("\n", " ") or "right"
    return f"| {one.program} | {one.tried} | {result} | {day} |\n"


def write_rows(page: Path, tries: Sequence[Try], day: str) -> None:
    """Into the page's table: those of a program, whatever its version was, stand where its older ones stood. Raises
    ValueError where the page has no place for the table."""
    text = page.read_text()
    if not (0 <= text.find(BEGIN) < text.find(END)):
        raise ValueError(f"{page} lacks the lines {BEGIN.strip()} and {END.strip()}, between which the table stands")
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    names = {_name(one.program) for one in tries}
    lines = [line for line in old.splitlines(keepends=True)[2:] if line.startswith("| ")]
    kept = [line for line in lines if _name(line.split("|")[1].strip()) not in names]
    rows = sorted([*kept, *(row(one, day) for one in tries)], key=lambda line: _name(line.split("|")[1].strip()))
    page.write_text(f"{head}{BEGIN}{HEAD}{''.join(rows)}{END}{tail}")


def _name(program: str) -> str:
    return program.split(" ")[0].lower()
