"""Well-known causes, found in what real programs print."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.build.advice import CAUSES, MOST, advice_in, cause_in

REAL = [
    (name, line)
    for name, _, line in (
        row.partition(": ") for row in Path(__file__).with_name("causes.txt").read_text().splitlines()
    )
]
"""The cause's name, and a line of output."""

HARMLESS = [
    "Setting up libc6 (2.36-9+deb12u9) ...",
    "Get:1 http://deb.debian.org/debian bookworm/main amd64 libgpm2 amd64 1.20.7-10+b1 [14.2 kB]",
    "0 upgraded, 5 newly installed, 0 to remove and 0 not upgraded.",
    "debconf: delaying package configuration, since apt-utils is not installed",
    "update-alternatives: warning: skip creation of /usr/share/man/man1/vi.1.gz because associated file doesn't exist",
    "invoke-rc.d: policy-rc.d denied execution of start.",
    'Failed to open connection to "system" message bus: No such file or directory',
]


@pytest.mark.parametrize(("name", "line"), REAL, ids=[line[:60] for _, line in REAL])
def test_a_cause_is_known_by_its_words(name: str, line: str) -> None:
    found = cause_in(line)
    assert found is not None and found[0].name == name
    assert "{" not in found[1]
    if name in ("unknown package", "missing tool"):
        assert "'vmi'" in found[1]


def test_each_cause_was_tried() -> None:
    assert {cause.name for cause in CAUSES} == {name for name, _ in REAL}


@pytest.mark.parametrize("line", HARMLESS)
def test_what_every_build_prints_is_no_cause(line: str) -> None:
    assert cause_in(line) is None


def test_each_cause_is_named_once_and_the_first_ones_alone() -> None:
    lines = [line for _, line in REAL]
    assert len(advice_in([*lines, *lines])) == MOST
    assert advice_in([REAL[3][1], REAL[4][1]]) == advice_in([REAL[3][1]])
    assert advice_in(HARMLESS) == ()
