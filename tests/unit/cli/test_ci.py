"""What services that run builds are shown."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from tests.unit.cli.test_displays import HOSTILE, STEP, story
from vmgen_build import events as e
from vmgen_build.cli import main
from vmgen_build.cli.ci import GitHub, GitLab, commands, folding
from vmgen_build.cli.plain import Plain, Verbosity
from vmgen_build.errors import Position, StepFailed

COMMANDS = ("::add-mask::x", "  ::error::injected", "##[error]old", "::endgroup::")


def shown(kind: type[Plain], events: list[e.Event], *, stamps: bool = False, side_by_side: bool = False) -> list[str]:
    stream = io.StringIO()
    display = kind(stream, Verbosity.NORMAL, stamps)
    display.side_by_side = side_by_side
    for event in events:
        display(event)
    display.close()
    return stream.getvalue().split("\n")[:-1]


def obeyed(lines: list[str]) -> list[str]:
    """The commands that GitHub's runner takes: at the start of a line, behind blanks too; after stop-commands none but
    that with its token; the older ones, ##[...], anywhere in a line."""
    found, token = [], ""
    for line in lines:
        match = re.match(r"\s*::(\S+?)( [^:]*)?::(.*)", line)
        if token:
            token = "" if match and match[1] == token else token
        elif match and match[1] == "stop-commands":
            token = match[3]
        elif match:
            found.append(match[1])
        elif "##[" in line:
            found.append("old")
    return found


def test_github_folds_each_step_and_obeys_no_guest() -> None:
    events = story()
    events[5:5] = [e.StepOutput(step="users", line=line) for line in COMMANDS]
    events.append(e.Note(text="error: it broke\n" + "\n".join(f"  {line}" for line in COMMANDS), level="error"))
    lines = shown(GitHub, events)
    assert obeyed(lines) == ["group", "endgroup"]
    assert "::group::[2/9] users and groups" in lines
    assert any(line.startswith("  | ") and "bracket" in line for line in lines), "output stands in its group"
    assert lines[lines.index("::endgroup::") + 1] == "[2/9] users and groups: done in 12 s"
    assert "\x1b" not in "".join(lines)


def test_gitlab_folds_each_step() -> None:
    text = "\n".join(shown(GitLab, story()))
    start = re.search(r"\x1b\[0Ksection_start:\d+:(\w+)\[collapsed=true\]\r\x1b\[0K\[2/9\] users and groups\n", text)
    assert start is not None
    end = re.search(rf"\x1b\[0Ksection_end:\d+:{start[1]}\r\x1b\[0K\n", text)
    assert end is not None and start.end() < text.index("bracket") < end.start()
    assert HOSTILE not in text and "owned" not in text


@pytest.mark.parametrize("kind", [GitHub, GitLab])
def test_a_group_is_closed_before_an_error_and_at_the_end(kind: type[Plain]) -> None:
    begun = e.StepStarted(**STEP)  # type: ignore[arg-type]
    for events in ([begun], [begun, e.Note(text="error: x", level="error")]):
        lines = shown(kind, list(events))
        (end,) = [number for number, line in enumerate(lines) if "endgroup" in line or "section_end" in line]
        assert "error: x" not in lines[:end]


@pytest.mark.parametrize("kind", [GitHub, GitLab])
def test_recipes_side_by_side_are_not_folded(kind: type[Plain]) -> None:
    events = [replace(event, recipe="lab.ini") for event in story()]
    lines = shown(kind, events, side_by_side=True)
    assert not [line for line in lines if "group::" in line or "section_" in line]
    assert "lab.ini: [2/9] users and groups ..." in lines


def test_lines_begin_with_the_time_of_day_and_mistakes_with_their_place() -> None:
    lines = shown(Plain, story(), stamps=True)
    assert lines[0] == "lab.ini:3: warning: [gui] foo: no such program"
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[2/9\] users and groups: done in 12 s", lines[4])
    assert lines[-2:] == ["error: it broke", "  badly"]


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, GitHub),
        ({"GITLAB_CI": "true"}, GitLab),
        ({"CI": "true"}, Plain),
        ({"GITHUB_ACTIONS": "false"}, Plain),
    ],
)
def test_the_service_is_known_by_its_variables(variables: dict[str, str], kind: type[Plain]) -> None:
    assert folding(variables) is kind


def test_a_failed_step_is_shown_at_the_line_of_its_script() -> None:
    error = StepFailed("script-one", 1, ("::error::injected",), None)
    error.where = Position("setup.sh", 7)
    (line,) = commands(error)
    assert line.startswith("::error file=setup.sh,line=7::step 'script-one' failed with exit code 1%0A")
    assert obeyed([line]) == ["error"]
    assert commands(StepFailed("base", 1, (), None)) == ["::error::step 'base' failed with exit code 1"]


def test_an_error_that_ends_a_command_is_annotated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main.run(["no.ini", "--watch", "--dry-run"]) == 2
    assert "\n::error::--watch builds" in capsys.readouterr().err
