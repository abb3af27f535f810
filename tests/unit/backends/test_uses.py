"""What each format says of its use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from vmgen_build.backends.format import Format
from vmgen_build.backends.registry import all_backends, formats_of

PAGES = "".join(
    Path(__file__).parents[3].joinpath("docs", name).read_text() for name in ("formats.md", "using-images.md")
)

ALL = [(backend.name, one) for backend in all_backends().values() for one in formats_of(backend)]

BESIDE = (".yaml", ".xml", ".ps1")
"""What some formats write beside their main file."""


def lines_of(one: Format, folder: str = "out put") -> tuple[str, ...]:
    main = Path(folder, f"lab{one.endings[0]}")
    return one.use("lab", [main, *(main.with_suffix(ending) for ending in BESIDE)])


@pytest.mark.parametrize(("backend", "one"), ALL, ids=[f"{backend}-{one.name}" for backend, one in ALL])
def test_each_format_says_how_it_is_used_by_programs_that_the_pages_know(backend: str, one: Format) -> None:
    lines = lines_of(one)
    assert lines
    for line in lines:
        program = re.match(r"[\w-]+(?: [a-z]+)?", line)
        if program is not None and not line.startswith(("mkdir", "cp")):
            assert program[0] in PAGES, program[0]


@pytest.mark.parametrize(("backend", "one"), ALL, ids=[f"{backend}-{one.name}" for backend, one in ALL])
def test_the_words_are_quoted_for_a_shell(backend: str, one: Format) -> None:
    words = [word for line in lines_of(one) if not line.startswith((".\\", "Set-")) for word in shlex.split(line)]
    assert "put" not in words and "out" not in words
