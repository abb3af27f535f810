"""Issue 8: every reader of foreign data returns, or raises an error that it declares, whatever it reads, and takes
little time and memory for it.

Some seconds in all by default, the same examples each time; `make fuzz` sets FUZZ_SECONDS, for each target, and looks
elsewhere each time. What is found is shown in its shortest form; put it into corpus/, and mend the reader.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, Target

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 40


def samples(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes], tokens: tuple[bytes, ...]) -> bytes:
    """A sample with a few changes: a byte, a piece cut out, doubled or moved, a token or a field of a number put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.sampled_from([1, 2, 8, 12, 100, 512, 513, 4096]))
        kind = draw(st.sampled_from(["byte", "cut", "double", "swap", "stretch", "token", "over", "end"]))
        piece = data[at : at + size]
        if kind == "byte":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + size :]
        elif kind == "double":
            data = data[:at] + piece * draw(st.sampled_from([2, 3, 50])) + data[at + size :]
        elif kind == "stretch" and piece:
            data = data[:at] + piece[:12] * (64_000 // len(piece[:12])) + data[at + size :]
        elif kind == "swap":
            data = data[:at] + data[at + size : at + 2 * size] + piece + data[at + 2 * size :]
        elif kind == "end":
            data = data[:at]
        else:
            token = draw(st.sampled_from(tokens))
            data = data[:at] + token + data[at + (len(token) if kind == "over" else 0) :]
    return data


def fuzz(name: str, target: Target, examples: int, derandomize: bool) -> None:
    @settings(
        max_examples=examples,
        derandomize=derandomize,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(samples(name), target.tokens))
    def one(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target.run(data, Path(folder))

    one()


@pytest.mark.parametrize("name", TARGETS)
def test_issue_8_fuzz_samples_are_read(name: str, tmp_path: Path) -> None:
    """Those that are named good-* without an error; all others are what once was found."""
    found = sorted((CORPUS / name).iterdir())
    assert any(path.name.startswith("good") for path in found)
    for number, path in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        if path.name.startswith("good"):
            TARGETS[name].read(path.read_bytes(), folder)
        else:
            TARGETS[name].run(path.read_bytes(), folder)


@pytest.mark.parametrize(("name", "bomb"), [(name, bomb) for name, target in TARGETS.items() for bomb in target.bombs])
def test_issue_8_12_bombs_take_little_time_and_memory(name: str, bomb: bytes, tmp_path: Path) -> None:
    TARGETS[name].run(bomb, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_issue_8_fuzz(name: str) -> None:
    end = time.monotonic() + SECONDS
    fuzz(name, TARGETS[name], EXAMPLES, derandomize=not SECONDS)
    while time.monotonic() < end:
        fuzz(name, TARGETS[name], 1000, derandomize=False)
