"""Every problem has a code, every code stands in the one table, and the docs show that table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import vmgen_build
from vmgen_build.codes import CODES, table

PACKAGE = Path(vmgen_build.__file__).parent
PAGE = PACKAGE.parent / "docs/messages.md"
COLLECTING = {"error", "warn"}
"""Methods of Problems: where, path, text, code."""


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Each call in the package, where it is, and the name of what is called."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node, name


def code_of(call: ast.Call, position: int) -> ast.expr | None:
    """What is given as the code, by its name or its place."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    placed = call.args[position : position + 1]
    return (named + placed or [None])[0]


def given() -> Iterator[tuple[str, ast.expr | None]]:
    for where, call, name in calls():
        if name == "Problem":
            yield where, code_of(call, 4)
        elif name in COLLECTING and "problems" in ast.unparse(call.func):
            yield where, code_of(call, 3)


def test_every_problem_has_a_code_of_the_table() -> None:
    found = list(given())
    assert len(found) > 150
    assert [where for where, code in found if code is None] == []
    written = [(where, code.value) for where, code in found if isinstance(code, ast.Constant)]
    assert len(written) > 140
    assert [(where, code) for where, code in written if code not in CODES] == []


def test_no_code_of_the_table_is_of_nothing() -> None:
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "codes.py")
    assert [code for code in CODES if f'"{code}"' not in text] == []


def test_the_docs_show_the_table() -> None:
    shown = PAGE.read_text().partition("<!-- codes -->\n")[2].partition("\n<!-- end of codes -->")[0]
    assert shown == table(), "write what codes.table() gives into docs/messages.md"
