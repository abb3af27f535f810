"""What the displays show of events, hostile ones among them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build import events as e
from vmgen_build.cli.jsonlines import JsonLines
from vmgen_build.cli.plain import Plain, Verbosity
from vmgen_build.cli.terminal import Terminal

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\r\x1b[31mlast"
MARKUP = "[bold]bracket[/bold] [/nonsense]"

STEP = {"step": "users", "title": "users and groups", "id": "f" * 64, "index": 2, "total": 9}


def story() -> list[e.Event]:
    """One build as the engine tells it."""
    return [
        e.Note(text="lab.ini:3: warning: [gui] foo: no such program", level="warning"),
        e.BuildStarted(recipe="lab.ini", backend="lxc", steps=9, log=Path("cache/logs/lab.log")),
        e.StepFinished(step="base", title="base system", id="0", index=1, total=9, outcome="cached", seconds=0),
        e.StepStarted(**STEP),  # type: ignore[arg-type]
        e.StepOutput(step="users", line=MARKUP),
        e.StepOutput(step="users", line=HOSTILE),
        e.StepProgress(step="users", done=5, total=10, unit="bytes"),
        e.StepFinished(**STEP, outcome="built", seconds=12.3),  # type: ignore[arg-type]
        e.Note(text="a detail", verbose=True),
        e.StepFinished(step="pack", title="packing", id="1", index=9, total=9, outcome="failed", seconds=1),
        e.Note(text="error: it broke\n  badly", level="error"),
    ]


def shown(verbosity: Verbosity) -> str:
    stream = io.StringIO()
    display = Plain(stream, verbosity)
    for event in story():
        display(event)
    return stream.getvalue()


def test_plain_lines() -> None:
    assert shown(Verbosity.NORMAL).splitlines() == [
        "lab.ini:3: warning: [gui] foo: no such program",
        "lab.ini: building for lxc, 9 steps (log: cache/logs/lab.log)",
        "[1/9] base system: cached",
        "[2/9] users and groups ...",
        "[2/9] users and groups: done in 12 s",
        "[9/9] packing: failed after 1.0 s",
        "error: it broke",
        "  badly",
    ]


def two_at_a_time() -> list[e.Event]:
    """The story, and that of another recipe in between."""
    mixed = []
    for event in story():
        mixed += [replace(event, recipe=name) for name in ("lab.ini", "desk.ini")]
    return mixed


def test_of_several_recipes_each_line_says_which() -> None:
    stream = io.StringIO()
    display = Plain(stream, Verbosity.NORMAL)
    display.side_by_side = True
    for event in (*two_at_a_time(), e.Note(text="of none")):
        display(event)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "lab.ini:3: warning: [gui] foo: no such program", "it says so already"
    assert lines[1] == "desk.ini: lab.ini:3: warning: [gui] foo: no such program"
    assert "desk.ini: [2/9] users and groups: done in 12 s" in lines
    assert lines[2:] == [
        f"{name}: {line}"
        for line in (
            "building for lxc, 9 steps (log: cache/logs/lab.log)",
            "[1/9] base system: cached",
            "[2/9] users and groups ...",
            "[2/9] users and groups: done in 12 s",
            "[9/9] packing: failed after 1.0 s",
        )
        for name in ("lab.ini", "desk.ini")
    ] + ["lab.ini: error: it broke", "lab.ini:   badly", "desk.ini: error: it broke", "desk.ini:   badly", "of none"]


def test_json_says_of_which_recipe_an_event_is() -> None:
    stream = io.StringIO()
    display = JsonLines(stream)
    for event in (*two_at_a_time(), e.Note(text="of none")):
        display(event)
    reported = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [each.get("recipe") for each in reported[:2]] == ["lab.ini", "desk.ini"]
    assert "recipe" not in reported[-1]


def test_verbose_shows_output_without_its_control_characters() -> None:
    lines = shown(Verbosity.VERBOSE).splitlines()
    assert f"  | {MARKUP}" in lines
    assert "  | last" in lines
    assert "a detail" in lines
    assert "\x1b" not in "".join(lines)


def test_quiet_shows_errors_only() -> None:
    assert shown(Verbosity.QUIET) == "error: it broke\n  badly\n"


def test_json_is_one_object_a_line_whatever_the_output_holds() -> None:
    stream = io.StringIO()
    display = JsonLines(stream)
    for event in story():
        display(event)
    lines = stream.getvalue().splitlines()
    assert stream.getvalue().isascii()
    reported = [json.loads(line) for line in lines]
    assert [t["event"] for t in reported] == [event.kind for event in story()]
    assert reported[5]["line"] == HOSTILE
    assert reported[1]["log"] == "cache/logs/lab.log"
    assert all(isinstance(t["time"], float) for t in reported)


@pytest.mark.parametrize("display", [JsonLines, lambda stream: Plain(stream, Verbosity.VERBOSE)])
def test_a_reader_that_is_gone_ends_no_build(display: object) -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    listener = display(stream)  # type: ignore[operator]
    for event in story():
        listener(event)
    with pytest.raises(BrokenPipeError):
        stream.close()


PLAY = """
import sys
sys.path.insert(0, sys.argv[1])
from test_displays import story, two_at_a_time
from vmgen_build.cli import common
screen, bus = common.open_display(as_json=False, quiet=False, verbose=sys.argv[2] == "verbose")
screen.side_by_side = sys.argv[2] == "several"
with screen:
    for event in two_at_a_time() if screen.side_by_side else story():
        bus.emit(event)
        print(type(screen).__name__, "rich.live" in sys.modules) if event.kind == "build-started" else None
"""


def on_terminal(verbosity: str, **env: str) -> str:
    """What a process that plays the story writes to a real terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", PLAY, str(Path(__file__).parent), verbosity]
    surroundings = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    surroundings |= {"TERM": "xterm", "COLUMNS": "100", "LC_ALL": "C.UTF-8"} | env
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=surroundings) as process:
        os.close(follower)
        parts = []
        while True:
            try:
                parts.append(os.read(leader, 65536))
            except OSError:
                break
            if not parts[-1]:
                break
    os.close(leader)
    assert process.returncode == 0, b"".join(parts).decode()
    return b"".join(parts).decode()


def test_a_terminal_gets_marks_and_a_live_line() -> None:
    text = on_terminal("normal")
    assert "Terminal False" in text
    assert "✓" in text
    assert "cached" in text
    assert "\x1b[?25h" in text.rpartition("\x1b[?25l")[2], "the cursor is shown again"
    assert "✗" in text
    assert "owned" not in text
    assert "\x1b[2J" not in text


def test_of_several_recipes_each_has_a_live_line() -> None:
    text = on_terminal("several")
    live = [line for line in re.split(r"[\r\n]+", text) if "[2/9]" in line]
    assert any("lab.ini: [2/9] users and groups" in line for line in live)
    assert any("desk.ini: [2/9] users and groups" in line for line in live)
    for name in ("lab.ini", "desk.ini"):
        assert re.search(rf"✓.* {name}: users and groups", text)
        assert re.search(rf"✗.* {name}: packing", text)
    assert "\x1b[?25h" in text.rpartition("\x1b[?25l")[2], "the cursor is shown again"


def test_nothing_else_is_written_into_the_live_lines() -> None:
    stream = io.StringIO()
    display = Terminal(stream, Verbosity.NORMAL, colour=False)
    display(e.StepStarted(**STEP, recipe="lab.ini"))  # type: ignore[arg-type]
    with display.paused():
        before = stream.getvalue()
        display.tick()
        assert stream.getvalue() == before
    display.close()


def test_output_is_never_markup() -> None:
    assert MARKUP in on_terminal("verbose")


def test_no_color_leaves_no_colour() -> None:
    text = on_terminal("normal", NO_COLOR="1")
    assert "✓" in text
    assert "\x1b[3" not in text


def test_a_dumb_terminal_gets_plain_lines() -> None:
    text = on_terminal("normal", TERM="dumb")
    assert "Plain False" in text
    assert "\x1b" not in text
    assert "[2/9] users and groups: done in 12 s" in text
