"""docs/extending.md: its code is that of tests/extending, and the files that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmgen_build import plugins

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
OUTSIDE = ROOT / "tests/extending"
FILES = [path for path in sorted(OUTSIDE.rglob("*")) if path.suffix in (".py", ".j2", ".ini", ".txt")]
SOURCES = [path.read_text(encoding="utf-8") for path in (*FILES, ROOT / "tests/integration/test_extending.py")]
BLOCKS = re.findall(r"^```(?:python|ini|sh)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMED = [name for name in re.findall(r"`([\w/.-]+/[\w.-]*)`", TEXT) if not re.search("[A-Z]{4}", name)]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0].strip())
def test_the_code_is_that_of_the_test(block: str) -> None:
    command = re.sub(r"[\s\",()]+", " ", block.replace("vmgen-build ", "", 1))
    assert any(block.strip("\n") in text or command in re.sub(r"[\s\",()]+", " ", text) for text in SOURCES)


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_a_file_that_is_named_is_there(name: str) -> None:
    assert any((folder / name).exists() for folder in (ROOT, ROOT / "vmgen_build"))


def test_every_group_is_described_and_used() -> None:
    groups = re.findall(r"^    (vmgen_build\.\w+)", plugins.__doc__ or "", re.MULTILINE)
    points = (OUTSIDE / "madeup-1.0.dist-info/entry_points.txt").read_text()
    assert len(groups) == 10
    assert [group for group in groups if group not in TEXT] == []
    assert [group for group in groups if f"[{group}]" not in points] == ["vmgen_build.supplies"]


def test_lines_are_short() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []
