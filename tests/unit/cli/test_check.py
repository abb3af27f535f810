"""check, as scripts and people use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmgen_build.cli import main

GOOD = "[config]\nroot_passwd = correct-horse\n[hardware]\nvm_id = lab\nos = debian-12\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("lab.ini")
    path.write_text(GOOD)
    return path


def test_a_good_recipe(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["check", "lab.ini"]) == 0
    reported = capsys.readouterr()
    assert reported.out.startswith("lab.ini: ok: 'lab' on debian-12-")
    assert reported.err == ""


def test_warnings_are_reported_and_allowed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(GOOD + "num_cpus = 2\n")
    assert main.run(["check", "lab.ini"]) == 0
    reported = capsys.readouterr()
    assert reported.err.startswith("lab.ini:6:1: warning: [hardware] num_cpus: ")
    assert reported.out.rstrip().endswith(", 1 warning")
    assert main.run(["check", "-q", "lab.ini"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main.run(["check", "--strict", "lab.ini"]) == 2
    assert capsys.readouterr().err.startswith("lab.ini:6:1: [hardware] num_cpus: ")


def test_all_mistakes_of_all_recipes(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.ini").write_text("[hardware]\nvm_id = lab\nos = beos-5\nnum_cpu = many\n")
    assert main.run(["check", "bad.ini", "lab.ini", "none.ini"]) == 2
    reported = capsys.readouterr()
    places = [line.split(" ")[0] for line in reported.err.splitlines() if ".ini:" in line]
    assert places == ["bad.ini:3:6:", "bad.ini:4:11:", "none.ini:"]
    assert reported.out.startswith("lab.ini: ok")


def test_json(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(GOOD + "num_cpu = many\n")
    assert main.run(["check", "--json", "lab.ini"]) == 2
    problem = json.loads(capsys.readouterr().out)
    assert (problem["file"], problem["line"], problem["severity"]) == ("lab.ini", 6, "error")
    assert problem["path"] == "[hardware] num_cpu"


def test_set_mends(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text("[hardware]\nvm_id = lab\nos = beos-5\n")
    assert main.run(["check", "lab.ini"]) == 2
    assert main.run(["check", "lab.ini", "--set", "hardware.os=debian-12"]) == 0
