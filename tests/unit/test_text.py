from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgen_build import text
from vmgen_build.host.bounds import bounded
from vmgen_build.limits import CHECK_MEMORY, Limit


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain [red]text[/red]", "plain [red]text[/red]"),
        ("\x1b[31mred\x1b[0m \x1b[2Kline", "red line"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("a\tb", "a       b"),
        ("bell\x07 back\x08 nul\x00", "bell back nul"),
        ("evil \u202etxt.exe", "evil txt.exe"),
        ("bad \udcff byte", "bad \ufffd byte"),
        ("caf\xe9 \u2713", "caf\xe9 \u2713"),
        ("two\u2028lines", "two lines"),
        ("\r", ""),
    ],
)
def test_clean(line: str, shown: str) -> None:
    assert text.clean(line) == shown


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "L", "Nd", "Po", "Ps", "Pe", "Zs", "Zl"])))
def test_clean_leaves_nothing_that_a_terminal_obeys(line: str) -> None:
    shown = text.clean(line)
    assert "\x1b" not in shown
    assert all(char.isprintable() or char in "\xa0\u2000\u3000" or char.isspace() for char in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (143_000_000, "143 MB"), (2.5e12, "2.5 TB")],
)
def test_size(number: float, shown: str) -> None:
    assert text.size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")],
)
def test_duration(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_table_aligns() -> None:
    assert text.table([("a", "1 B", ""), ("long", "100 B", "x")], right=(1,)) == ["a       1 B", "long  100 B  x"]
    assert text.table([]) == []


def test_the_last_column_is_broken_where_the_window_ends() -> None:
    rows = [("holds", "[users] ana", "ana:x:1000:1000::/home/ana:/bin/bash"), ("skipped", "ram", "no such limit here")]
    assert text.broken(rows, 44) == [
        ["holds    [users] ana  ana:x:1000:1000::/home", " " * 22 + "/ana:/bin/bash"],
        ["skipped  ram          no such limit here"],
    ]
    assert text.broken(rows, 80) == [[line] for line in text.table(rows)]
    assert text.broken([("a", "")], 80) == [["a"]] and text.broken([], 80) == []


def test_the_last_lines_are_remembered_and_all_are_handed_on() -> None:
    seen: list[str] = []
    last = text.LastLines(seen.append, limit=2)
    for line in ("one", "two", "three"):
        last(line)
    assert seen == ["one", "two", "three"] and last.lines == ("two", "three")


@pytest.mark.parametrize("line", ["a." * 32768 + "@", "http://" * 9000 + "@", "x://a:" * 9000 + "@"], ids=range(3))
def test_issue_8_15_a_hostile_line_takes_no_long_search(line: str) -> None:
    """The first took 15 s of the processor."""
    with bounded("a line", Limit("test-time", "processor time that a line takes", 3, "s"), CHECK_MEMORY):
        text.without_passwords(line)


def test_issue_8_14_a_password_with_an_apostrophe_is_masked() -> None:
    assert text.without_passwords("'http://ana:it's@m/d' smb://a'b:c'd@h") == "'http://***@m/d' smb://a'b:***@h"
