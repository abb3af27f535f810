"""The line at which a script failed, as real shells and interpreters name it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.build.diagnosis import FailingLine, failing_line
from vmgen_build.plan.model import Step, StepFile

PYTHON = "#!/usr/bin/python3\nprint('begun')\nraise SystemError(1)\n"
UNDEFINED = "set -u\necho begun\nwanted=$nosuchvariable\n"
UNKNOWN = "echo begun\nnosuchprogram --version\n"
OPEN = "echo begun\nif true; then\n"


def output(folder: Path, words: list[str], script: str) -> list[str]:
    """What it prints that runs the script from the step's folder."""
    (folder / "files").mkdir()
    path = folder / "files/script"
    path.write_text(script)
    done = subprocess.run([*words, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode != 0
    return done.stdout.splitlines()


def step(script: str, *, private: bool = False) -> Step:
    file = StepFile.of("script", script, 0o755)
    carried = StepFile(file.name, file.sha256, file.mode, content=file.content, private=private)
    return Step(name="script-one", title="script one", script="#!/bin/sh\nset -eu\nexec x\n", files=(carried,))


@pytest.mark.parametrize(
    ("words", "script", "line", "text"),
    [
        (["dash", "-eu"], UNKNOWN, 2, "nosuchprogram --version"),
        (["bash", "-eu"], UNKNOWN, 2, "nosuchprogram --version"),
        (["dash"], UNDEFINED, 3, "wanted=$nosuchvariable"),
        (["bash"], UNDEFINED, 3, "wanted=$nosuchvariable"),
        (["dash"], OPEN, 3, ""),
        (["bash"], OPEN, 3, ""),
        ([sys.executable], PYTHON, 3, "raise SystemError(1)"),
        (["perl"], "print 'begun';\n\ndie 'so';\n", 3, "die 'so';"),
    ],
)
def test_the_line_is_named(tmp_path: Path, words: list[str], script: str, line: int, text: str) -> None:
    lines = output(tmp_path, words, script)
    assert failing_line(step(script), str(tmp_path), lines) == FailingLine(line, text, own=True)


def test_a_private_script_is_not_shown(tmp_path: Path) -> None:
    lines = output(tmp_path, ["dash", "-eu"], UNKNOWN)
    assert failing_line(step(UNKNOWN, private=True), str(tmp_path), lines) == FailingLine(2, "", own=True)


def test_a_command_that_fails_without_a_word(tmp_path: Path) -> None:
    lines = output(tmp_path, ["dash", "-eu"], "echo begun\nfalse\n")
    assert failing_line(step("echo begun\nfalse\n"), str(tmp_path), lines) is None


def test_the_line_of_another_script_is_none(tmp_path: Path) -> None:
    lines = ["/usr/lib/x/script: 2: nosuchprogram: not found", f"{tmp_path}/files/script.d: 2: x"]
    assert failing_line(step(UNKNOWN), str(tmp_path), lines) is None


def test_the_steps_own_script_has_its_line_too() -> None:
    own = Step(name="users", title="users", script="#!/bin/sh\nset -eu\nchpasswd -e\n")
    found = failing_line(own, "/run/vmgen", ["/run/vmgen/script: 3: chpasswd: not found"])
    assert found == FailingLine(3, "chpasswd -e", own=False)
    beyond = failing_line(own, "/run/vmgen", ["/run/vmgen/script: 99: x: not found"])
    assert beyond == FailingLine(99, "", own=False)
