"""Issue 8, item 12: every limit stands in the one table of docs/security.md."""

from __future__ import annotations

from pathlib import Path

from vmgen_build import limits
from vmgen_build.limits import Limit

PAGE = Path(__file__).resolve().parents[2] / "docs/security.md"


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    _, _, rest = PAGE.read_text().partition("<!-- limits -->\n")
    shown, _, _ = rest.partition("\n<!-- end of limits -->")
    assert shown.strip() == limits.table(), "write what limits.table() gives into docs/security.md: make limits"


def test_no_two_limits_share_a_name() -> None:
    names = [limit.name for limit in vars(limits).values() if isinstance(limit, Limit)]
    assert len(names) == len(set(names)) > 0


def test_an_exceeded_limit_is_named() -> None:
    assert Limit("nesting", "brackets", 100, "levels").exceeded == (
        "it is more than the limit 'nesting' allows (100 levels; docs/security.md)"
    )
    assert Limit("log", "a log", 64_000).shown == "64 kB"
    assert Limit("wait", "a wait", 120, "s").shown == "2 min 00 s"
