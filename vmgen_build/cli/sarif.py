"""A recipe's problems as SARIF 2.1.0, which code scanning services read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/: columns count Unicode code points from 1, a region's end is excluded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from vmgen_build import __version__
from vmgen_build.codes import CODES
from vmgen_build.errors import Problem
from vmgen_build.text import without_passwords

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def log(problems: Iterable[Problem]) -> dict[str, Any]:
    """One run of the tool. Its rules are the codes that occur."""
    found = list(problems)
    codes = sorted({problem.code for problem in found if problem.code})
    driver = {"name": "vmgen-build", "version": __version__, "rules": [_rule(code) for code in codes]}
    results = [_result(problem, codes) for problem in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    return {"id": code, "shortDescription": {"text": CODES.get(code, code)}}


def _result(problem: Problem, codes: list[str]) -> dict[str, Any]:
    text = f"{problem.path}: {problem.text}" if problem.path else problem.text
    result: dict[str, Any] = {
        "level": "error" if problem.severity == "error" else "warning",
        "message": {"text": without_passwords(text)},
        "locations": [{"physicalLocation": _location(problem)}],
    }
    if problem.code:
        result |= {"ruleId": problem.code, "ruleIndex": codes.index(problem.code)}
    return result


def _location(problem: Problem) -> dict[str, Any]:
    where = problem.where
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(where.file)}}
    if where.line:
        columns = {"startColumn": where.column, "endColumn": where.end}
        location["region"] = {"startLine": where.line} | {name: at for name, at in columns.items() if at}
    return location


def _uri(file: str) -> str:
    """A relative one is looked up from the folder that the tool ran in."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(str(path))
