"""The line of a recipe that a problem is about, as a person may see it: safe for a terminal, without passwords.

A value shows where its option is known and holds nothing private. Of all others a short plain word alone does: a slip
in the name of an option may well be one in the name of a password's.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from vmgen_build import resources
from vmgen_build.catalogue.catalogue import known_programs
from vmgen_build.catalogue.options import wrong_option
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.recipe import ini
from vmgen_build.recipe.ini import Written
from vmgen_build.recipe.problems import Problems, escaped, suggested
from vmgen_build.recipe.profiles import SHIPPED
from vmgen_build.recipe.schema import Section, recipe_sections, spec
from vmgen_build.recipe.source import read_text
from vmgen_build.recipe.types.base import Type
from vmgen_build.text import without_passwords

MASK = "***"

_HARMLESS = re.compile(
    r"(?:yes|no|true|false|on|off|[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}|[0-9]{1,4}\s*[KMGT]i?B?)", re.IGNORECASE
)
_TAB = 8


@dataclass(frozen=True, slots=True)
class Excerpt:
    """line: its number. text: it, with control characters escaped, tabs expanded, and *** for what is private.

    start, width: the cells of a terminal that are meant; width 0 where it is the line as a whole. suggestion: what
    could stand there instead.
    """

    line: int
    text: str
    start: int
    width: int
    suggestion: str


class Excerpts:
    """Excerpts of all files that the problems of a run are about; each is read once, when the first is asked for."""

    def __init__(self) -> None:
        self._files: dict[str, _File | None] = {}

    def of(self, problem: Problem, room: int) -> Excerpt | None:
        """None where the problem is about no line, and where the file cannot be read again. room: the cells that a line
        may take; a longer one is cut around what is meant."""
        where = problem.where
        file = self._file(where.file) if where.line and problem.code != "template" else None
        line = file.line(where.line) if file else None
        if line is None:
            return None
        pieces = _pieces(line, where.column - 1, where.end - 1 if where.end else len(line.text))
        text, start, width = _fitted(pieces, room)
        return Excerpt(where.line, text, start, width, suggested(problem.text) if width else "")

    def _file(self, file: str) -> _File | None:
        if file not in self._files:
            path = Path(file)
            if file.startswith(SHIPPED):
                path = resources.recipes_dir() / "profiles" / f"{file.removeprefix(SHIPPED)}.ini"
            try:
                self._files[file] = _File(read_text(path, file), file)
            except RecipeError:
                self._files[file] = None
        return self._files[file]


class _Shown(NamedTuple):
    """A line of a file, without its comment, and the index from which it is private."""

    text: str
    private: int


class _File:
    def __init__(self, text: str, file: str) -> None:
        self.lines = text.split("\n")
        self.offsets = tuple(accumulate((len(line) + 1 for line in self.lines), initial=0))
        self.written = ini.parse(text, file, Problems(file)).written
        self.starts = [written.start for written in self.written]

    def line(self, number: int) -> _Shown | None:
        if number > len(self.lines):
            return None
        text, offset = self.lines[number - 1].rstrip(), self.offsets[number - 1]
        place = bisect_right(self.starts, offset) - 1
        if place < 0 or offset >= self.written[place].end:
            return _head(text)
        written = self.written[place]
        if offset != written.start:
            return _Shown(text, 0)
        value_at, comment_at = written.value_at - offset, min(written.comment_at - offset, len(text))
        if text[value_at:comment_at].strip():
            text = text[:comment_at].rstrip()
        if _is_public(written, text[value_at:]):
            return _Shown(text, len(text))
        key, value = text[:value_at] + written.key, text[value_at:]
        if written.key and value.startswith(written.key) and _is_name(written):
            value_at = len(text) - len(text[len(key) :].lstrip(" \t:"))
        return _Shown(text, value_at)


def _head(text: str) -> _Shown:
    """Of a section; a line that is neither one nor an option is a comment, of which nothing shows."""
    body = text.lstrip("[ \t")
    if not text.lstrip().startswith("["):
        return _Shown(text, 0)
    if "]" not in body:
        name = body.split(maxsplit=1)[0] if body else ""
        return _Shown(text, len(text) - len(body) + len(name))
    quoted = body[:1] in ("'", '"')
    _, _, rest = body[1:].partition(body[0]) if quoted else body.partition("]")
    after = rest.lstrip("] \t")
    private = len(text) - len(after)
    return _Shown(text[:private].rstrip(), private) if after.startswith("#") else _Shown(text, private)


def _is_public(written: Written, value: str) -> bool:
    if _HARMLESS.fullmatch(value.strip(" \t:'\"")):
        return True
    names, key = written.sections, written.key
    registered = recipe_sections().get(names[0]) if names else None
    if len(names) == 1 and registered is None and not wrong_option(key):
        return True
    if len(names) == 1 and registered is not None and registered.programs and known_programs().is_known(key):
        return True
    found = _declared(key) if registered is None else _type_of(registered.cls, names[1:], key) or _declared(key)
    return bool(found) and not any(type_.private for type_ in found)


def _type_of(cls: type[Section], names: tuple[str, ...], key: str) -> list[Type[Any]]:
    """That of an option that is declared below a section of a class, alone in a list; none for another."""
    table = spec(cls)
    if not names:
        declared = table.options.get(key) or table.free.get(key)
        return [declared[1].type] if declared else []
    if names[0] in table.free:
        return [table.free[names[0]][1].type] if len(names) == 1 else []
    if names[0] in table.named and len(names) > 1:
        return _type_of(table.named[names[0]][1].cls, names[2:], key)
    return []


def _declared(key: str) -> list[Type[Any]]:
    """Those of all options of a name, wherever they may stand."""
    return [found for registered in recipe_sections().values() for found in _below(registered.cls, key)]


def _below(cls: type[Section], key: str) -> Iterator[Type[Any]]:
    table = spec(cls)
    yield from _type_of(cls, (), key)
    for _, nested in table.named.values():
        yield from _below(nested.cls, key)


def _is_name(written: Written) -> bool:
    """Whether a word is the name of some option or section: no password, then."""
    return written.key in recipe_sections() or bool(_declared(written.key))


class _Pieces(NamedTuple):
    """What stands before, in, and behind what is meant; meant: None where it is the line as a whole."""

    before: str
    meant: str | None
    behind: str = ""


def _pieces(line: _Shown, start: int, end: int) -> _Pieces:
    """start: -1 for the line as a whole. What is private shows as ***."""
    text = line.text
    end = min(max(start, end), len(text))
    if line.private < len(text):
        text = text[: line.private] + MASK
        start = min(start, line.private)
        end = end if end <= line.private and start < line.private else len(text)
    if start < 0:
        return _Pieces(without_passwords(text), None)
    pieces = [without_passwords(piece) for piece in (text[:start], text[start:end], text[end:])]
    whole = without_passwords(text)
    return _Pieces(*pieces) if "".join(pieces) == whole else _Pieces(whole, None)


class _Cells(NamedTuple):
    """Text as a terminal has it, and how many cells each of its characters takes."""

    text: str
    widths: tuple[int, ...]

    @property
    def width(self) -> int:
        return sum(self.widths)


def _cells(text: str, column: int = 0) -> _Cells:
    """column: the cell in which it begins."""
    from rich.cells import cell_len

    shown: list[str] = []
    widths: list[int] = []
    for char in text:
        if char == "\t":
            char = " " * (_TAB - column % _TAB)
        elif not char.isprintable():
            char = escaped(char)
        sizes = [cell_len(one) for one in char]
        shown.append(char)
        widths += sizes
        column += sum(sizes)
    return _Cells("".join(shown), tuple(widths))


def _fitted(pieces: _Pieces, room: int) -> tuple[str, int, int]:
    """The text, and where what is meant begins and how many cells it takes; a long line is cut around it."""
    most = 2 * room
    before = _cells(pieces.before if len(pieces.before) <= most else f"…{pieces.before[-most:]}")
    meant = _cells((pieces.meant or "")[:most], before.width)
    behind = _cells(pieces.behind[:most], before.width + meant.width)
    whole = _Cells(before.text + meant.text + behind.text, before.widths + meant.widths + behind.widths)
    start = 0 if pieces.meant is None else before.width
    text, moved = _window(whole, start, room)
    wanted = 0 if pieces.meant is None else max(1, meant.width)
    return text, start - moved, min(wanted, max(room - (start - moved), 1))


def _window(line: _Cells, start: int, room: int) -> tuple[str, int]:
    """A part of the line, around the cell `start`, that there is room for, with … for what is cut off; and by how many
    cells it has moved to the left."""
    if line.width <= room:
        return line.text, 0
    left = max(0, min(start - room // 3, line.width - room))
    dots = "…" if left else ""
    right = left + room - 1 if left + room < line.width else line.width
    places = list(accumulate(line.widths, initial=0))
    taken = [i for i, at in enumerate(places[:-1]) if at >= left + len(dots) and places[i + 1] <= right]
    text = "".join(line.text[i] for i in taken)
    return f"{dots}{text}{'…' if right < line.width else ''}", places[taken[0]] - len(dots) if taken else left
