"""The table of what was looked at in the booted machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.cli.verify import show_probes
from vmgen_build.events import ProbeDone

HOLDS = ProbeDone(probe="a", setting="[config] hostname", outcome="holds", found="lab")
FAILS = ProbeDone(probe="b", setting="[users] ana", outcome="fails", found="no\x1b[31mthing")
SKIPPED = ProbeDone(probe="c", setting="[hardware] ram", outcome="skipped")


@pytest.mark.parametrize(
    ("done", "last"),
    [
        ([HOLDS, HOLDS], "lab.tar: all 2 settings hold"),
        ([HOLDS, FAILS, SKIPPED], "lab.tar: 1 of 3 settings hold, 1 do not, 1 skipped"),
        ([HOLDS, SKIPPED], "lab.tar: 1 of 2 settings hold, 1 skipped"),
    ],
)
def test_the_last_line_counts(done: list[ProbeDone], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_probes(Path("lab.tar"), done, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(done) + 1
    assert lines[-1] == last


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_probes(Path("lab.tar"), [HOLDS, FAILS, SKIPPED], quiet=False)
    assert capsys.readouterr().out.splitlines()[:3] == [
        "holds    [config] hostname  lab",
        "fails    [users] ana        nothing",
        "skipped  [hardware] ram",
    ]


def test_quiet_shows_only_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    show_probes(Path("lab.tar"), [HOLDS, FAILS, SKIPPED], quiet=True)
    assert capsys.readouterr().out == "fails  [users] ana  nothing\n"
