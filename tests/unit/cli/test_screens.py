"""What stands on the screen while recipes are built, by a terminal's own model of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.screens import Window, window

PLAY = """
import sys
from vmgen_build import events as e
from vmgen_build.cli import common

STEPS, RECIPES = int(sys.argv[1]), sys.argv[2].split(",")
TITLES = tuple(f"title {n}" for n in range(1, STEPS + 1))

def mark(name):
    screen.tick()
    sys.stderr.write(f"\\x1b]2;{name}\\x07")
    sys.stderr.flush()
    sys.stdin.readline()

def step(recipe, n, kind=e.StepStarted, **more):
    bus.emit(kind(recipe=recipe, step=f"s{n}", title=TITLES[n - 1], id="0", index=n, total=STEPS, **more))

screen, bus = common.open_display(as_json=False, quiet=False, verbose=False)
screen.side_by_side = len(RECIPES) > 1
with screen:
    for recipe in RECIPES:
        bus.emit(e.BuildStarted(recipe=recipe, backend="lxc", steps=STEPS, titles=TITLES))
        step(recipe, 1, e.StepFinished, outcome="cached", seconds=0)
    for recipe in RECIPES:
        step(recipe, 2)
        bus.emit(e.StepOutput(recipe=recipe, step="s2", line="Unpacking libfoo " + "x" * 300))
        bus.emit(e.StepProgress(recipe=recipe, step="s2", done=3, total=12, unit="packages"))
    mark("running")
    bus.emit(e.StepProgress(recipe=RECIPES[0], step="s2", done=9, total=12, unit="packages"))
    mark("later")
    for recipe in RECIPES:
        step(recipe, 2, e.StepFinished, outcome="built", seconds=83)
        step(recipe, 3)
        step(recipe, 3, e.StepFinished, outcome="failed", seconds=1)
        bus.emit(e.Note(recipe=recipe, text="error: it broke", level="error"))
"""


@contextmanager
def played(columns: int = 80, rows: int = 24, steps: int = 6, recipes: str = "lab.ini", **env: str) -> Iterator[Window]:
    words = [sys.executable, "-c", PLAY, str(steps), recipes]
    with window(words, columns, rows, {"PYTHONPATH": str(Path(__file__).parents[3])} | env) as shown:
        yield shown


@pytest.mark.parametrize("columns", [80, 120])
def test_what_runs_what_it_says_what_waits_and_how_far_it_is(columns: int) -> None:
    with played(columns) as shown:
        lines = shown.until("running")
        assert lines[0] == "lab.ini: building for lxc, 6 steps"
        assert lines[1].split() == ["✓", "title", "1", "cached"]
        running = lines[2]
        assert "[2/6] title 2" in running and running.endswith("3 of 12 packages")
        assert running.count("━") == (20 if columns == 120 else 10)
        assert lines[3].startswith("    Unpacking libfoo xxx") and lines[3].endswith("…")
        assert lines[4:8] == ["· title 3", "· title 4", "· title 5", "· title 6"]
        assert lines[8].startswith("  1 of 6 steps done, 1 from the cache, 0.")
        assert not any(lines[9:])


def test_a_view_is_drawn_over_and_leaves_nothing() -> None:
    with played() as shown:
        shown.until("running")
        shown.go_on()
        lines = shown.until("later")
        assert len([line for line in lines if "packages" in line]) == 1
        assert "9 of 12 packages" in "".join(lines)
        assert [line for line in shown.to_its_end() if line] == [
            "lab.ini: building for lxc, 6 steps",
            "✓ title 1                                cached",
            "✓ title 2                            1 min 23 s",
            "✗ title 3                                 1.0 s",
            "error: it broke",
        ]
        assert not shown.screen.cursor.hidden


def test_in_a_low_window_the_list_is_cut() -> None:
    with played(rows=20, steps=40) as shown:
        lines = [line for line in shown.until("running") if line]
        assert len(lines) <= 20
        at = next(number for number, line in enumerate(lines) if "[2/40]" in line)
        assert lines[at + 2] == "· title 3"
        assert lines[-2].startswith("  and ") and lines[-1].startswith("  1 of 40 steps done")
        waiting = len([line for line in lines if line.startswith("·")])
        assert waiting + int(lines[-2].split()[1]) == 38


def test_a_window_of_few_lines_shows_what_runs() -> None:
    with played(rows=3, steps=40) as shown:
        assert any("[2/40] title 2" in line for line in shown.until("running"))


def test_several_recipes_have_their_own_lines() -> None:
    with played(100, recipes="lab.ini,desk.ini") as shown:
        lines = shown.until("running")
        for name in ("lab.ini", "desk.ini"):
            at = next(number for number, line in enumerate(lines) if f"{name}: [2/6] title 2" in line)
            assert "3 of 12 packages" in lines[at] and "Unpacking" in lines[at + 1]
        assert not any(line.startswith("·") for line in lines)


def test_more_recipes_than_lines() -> None:
    with played(100, rows=10, recipes=",".join(f"r{n}.ini" for n in range(30))) as shown:
        lines = [line for line in shown.until("running") if line]
        assert len(lines) <= 10 and lines[-1] == "  and 22 more"


def test_a_window_that_is_made_smaller() -> None:
    with played(120, rows=24) as shown:
        shown.until("running")
        shown.resize(60, 12)
        shown.go_on()
        shown.until("later")
        lines = [line for line in shown.to_its_end() if line]
        assert lines[-1] == "error: it broke" and all(len(line) <= 60 for line in lines)
        assert len([line for line in lines if line.startswith("✓ title 2")]) == 1


def test_colours() -> None:
    with played() as shown:
        shown.until("running")
        assert "green" in shown.colours("✓ title 1") and "green" in shown.colours("packages")
    with played(NO_COLOR="1") as shown:
        shown.until("running")
        assert shown.colours("✓ title 1") | shown.colours("packages") == {"default"}


def test_a_terminal_without_unicode() -> None:
    with played(PYTHONIOENCODING="ascii") as shown:
        lines = shown.until("running")
        assert lines[1].split() == ["ok", "title", "1", "cached"]
        assert "##" in lines[2] and lines[4] == "- title 3"
        assert "\ufffd" not in "".join(lines) and "?" not in "".join(lines)


def test_a_dumb_terminal() -> None:
    with played(TERM="dumb") as shown:
        lines = [line for line in shown.until("running") if line]
        assert lines == ["lab.ini: building for lxc, 6 steps", "[1/6] title 1: cached", "[2/6] title 2 ..."]
