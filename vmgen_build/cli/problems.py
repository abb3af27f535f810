"""How a recipe's problems are shown: to people on their own line, to editors as JSON, to GitHub as annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from vmgen_build.errors import Problem
from vmgen_build.recipe.excerpt import Excerpt, Excerpts
from vmgen_build.recipe.problems import suggested
from vmgen_build.text import clean, without_passwords

PIPED_WIDTH = 100
"""Cells of a line where there is no terminal."""

_GUTTER = 8
"""Cells before the user's own line: its number and a bar."""

_COLOURS = {"error": "red", "warning": "yellow"}

Line = list[tuple[str, dict[str, Any]]]
"""Pieces of text, safe to show, each with its style, as click.style takes it."""


def lines(problems: Iterable[Problem], width: int = PIPED_WIDTH) -> Iterator[Line]:
    """What each problem is, and the line of the recipe that it is about."""
    excerpts = Excerpts()
    for problem in problems:
        yield from _headline(problem)
        yield from _excerpt(excerpts.of(problem, max(width - _GUTTER, 20)), problem.severity)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            yield [(clean(without_passwords(annotation(problem))), {})]


def place(problem: Problem) -> str:
    """FILE:LINE:COLUMN, as editors look for it."""
    return f"{problem.where}:{problem.where.column}" if problem.where.column else str(problem.where)


def _what(problem: Problem) -> str:
    return f"{problem.path}: {problem.text}" if problem.path else problem.text


def _headline(problem: Problem) -> Iterator[Line]:
    colour = _COLOURS.get(problem.severity)
    kind = "" if problem.severity == "error" else f"{problem.severity}: "
    first, *others = without_passwords(_what(problem)).split("\n")
    yield [
        (f"{clean(place(problem))}: ", {"bold": True}),
        (kind, {"fg": colour, "bold": True}),
        (clean(first), {"fg": colour}),
    ]
    for line in others:
        yield [(clean(line), {"fg": colour})]


def _excerpt(excerpt: Excerpt | None, severity: str) -> Iterator[Line]:
    if excerpt is None:
        return
    yield [(f"{excerpt.line:>5} | {excerpt.text}".rstrip(), {})]
    if not excerpt.width:
        return
    margin = f"      | {' ' * excerpt.start}"
    yield [(margin, {}), ("^" * excerpt.width, {"fg": _COLOURS.get(severity), "bold": True})]
    if excerpt.suggestion:
        yield [(margin, {}), (clean(excerpt.suggestion), {"fg": "green"})]


def as_dict(problem: Problem) -> dict[str, object]:
    """For editors. column, end_column: characters counted from 1, the end excluded; 0: the line as a whole, and up to
    its end. suggestion: what could stand there instead."""
    return {
        "file": problem.where.file,
        "line": problem.where.line,
        "column": problem.where.column,
        "end_column": problem.where.end,
        "path": problem.path,
        "severity": problem.severity,
        "code": problem.code,
        "text": without_passwords(problem.text),
        "suggestion": suggested(problem.text),
    }


def annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions, which shows the problem beside the line of a pull request."""
    where = problem.where
    fields = {"file": where.file, "line": where.line, "col": where.column, "endColumn": where.end}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in fields.items() if value)
    kind = "error" if problem.severity == "error" else "warning"
    return f"::{kind} {properties}".rstrip() + f"::{_data(_what(problem))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
