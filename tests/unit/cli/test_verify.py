"""The table of what was looked at in the booted machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.build.verify import Verified
from vmgen_build.cli.main import run
from vmgen_build.cli.verify import show_verified
from vmgen_build.events import ProbeDone

HOLDS = ProbeDone(probe="a", setting="[config] hostname", outcome="holds", found="lab")
FAILS = ProbeDone(probe="b", setting="[users] ana", outcome="fails", found="no\x1b[31mthing")
SKIPPED = ProbeDone(probe="c", setting="[hardware] ram", outcome="skipped")


def show(done: list[ProbeDone], *, quiet: bool = False, brief: bool = False) -> None:
    show_verified(Verified(Path("lab.tar"), "lab.ini", tuple(done)), quiet=quiet, brief=brief)


@pytest.mark.parametrize(
    ("done", "last"),
    [
        ([HOLDS, HOLDS], "lab.tar: all 2 settings hold; asked: lab.ini"),
        ([HOLDS, FAILS, SKIPPED], "lab.tar: 1 of 3 settings hold, 1 do not, 1 skipped; asked: lab.ini"),
        ([HOLDS, SKIPPED], "lab.tar: 1 of 2 settings hold, 1 skipped; asked: lab.ini"),
    ],
)
def test_the_last_line_counts(done: list[ProbeDone], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(done)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(done) + 1
    assert lines[-1] == last


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show([HOLDS, FAILS, SKIPPED])
    assert capsys.readouterr().out.splitlines()[:3] == [
        "holds    [config] hostname  lab",
        "fails    [users] ana        nothing",
        "skipped  [hardware] ram",
    ]


def test_quiet_shows_only_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    show([HOLDS, FAILS, SKIPPED], quiet=True)
    assert capsys.readouterr().out == "fails  [users] ana  nothing\n"


def test_of_many_the_table_shows_what_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show([HOLDS, FAILS, SKIPPED], brief=True)
    assert capsys.readouterr().out.splitlines() == [
        "fails  [users] ana  nothing",
        "lab.tar: 1 of 3 settings hold, 1 do not, 1 skipped; asked: lab.ini",
    ]


def hand_in(folder: Path, name: str, content: bytes = b"an image") -> Path:
    """An artifact and its manifest, which asks one question."""
    path = folder / name
    path.write_bytes(content)
    files = [{"name": name, "size": 8, "sha256": hashlib.sha256(b"an image").hexdigest()}]
    probes = [{"name": "p", "setting": "s", "script": "exit 1"}]
    machine = {"format": 1, "name": "lab", "os": "debian-12", "arch": "amd64", "backend": "lxc"}
    manifest_path(path).write_text(json.dumps(machine | {"files": files, "probes": probes}))
    return path


def test_issue_8_9_a_broken_artifact_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hand_in(Path(), "ana.tar.zst")
    hand_in(Path(), "ben.tar.zst", b"an imagf")
    hand_in(Path(), "eva.tar.zst")
    assert run(["verify", "--no-boot", "ana.tar.zst", "ben.tar.zst", "none\x1b[2J.tar", "eva.tar.zst"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "ana.tar.zst: all 1 settings hold; asked: the file itself",
        "ben.tar.zst: fails: it could not be asked",
        "none.tar: fails: it could not be asked",
        "eva.tar.zst: all 1 settings hold; asked: the file itself",
        "2 of 4 artifacts pass",
        "  fails: ben.tar.zst",
        "  fails: none.tar",
    ]
    assert "ben.tar.zst: error: ben.tar.zst is not the file that" in captured.err


def test_issue_8_9_events_say_whose_questions_were_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--no-boot", "--json", str(hand_in(tmp_path, "ana.tar.zst"))]) == 0
    started, probe, finished = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert started["event"] == "verify-started" and started["artifact"].endswith("/ana.tar.zst")
    assert (probe["event"], probe["origin"]) == ("probe", "its own manifest")
    assert finished["event"] == "verify-finished" and finished["outcome"] == "passes"
    assert (finished["asked"], finished["holds"], finished["error"]) == ("the file itself", 1, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "a", "--manifest", "b"], "both ask"),
        (["--recipe", "a", "--no-boot"], "--no-boot asks no questions"),
        (["--manifest", "a", "--no-boot"], "--no-boot asks no questions"),
        (["--backend", "lxc"], "--backend is for a recipe's questions"),
        (["--set", "a.b=c"], "--set is for a recipe's questions"),
        (["--backend", "lcx", "--recipe", "a"], "did you mean 'lxc'"),
    ],
)
def test_issue_8_9_options_that_mean_nothing_together(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "x.tar", *options]) == 2
    assert message in capsys.readouterr().err


def test_issue_8_9_a_wrong_recipe_is_reported_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.ini").write_text("[hardware]\nos = debian-12\nram = much\n")
    assert run(["verify", "x.tar", "--recipe", str(tmp_path / "lab.ini")]) == 2
    captured = capsys.readouterr()
    assert "lab.ini:3" in captured.err and captured.out == ""


def test_issue_8_12_a_hostile_settings_name_does_not_widen_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """5,000 rows as wide as a name of 16 MB would be 80 GB."""
    show([HOLDS, ProbeDone(probe="b", setting="s" * 100_000, outcome="holds", found="x")])
    assert max(map(len, capsys.readouterr().out.splitlines())) < 250


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "vsphere://esxi.lab"], "--host: the recipe knows the login of the machine that is booted there"),
        (["--host", "vsphere://esxi.lab", "--recipe", "lab.ini", "--no-boot"], "--host: the recipe knows the login"),
        (["--insecure"], "--insecure: only for a server, as --host vsphere://NAME; leave it out"),
        (["--map", "nat=VM Network"], "--map: only for a server"),
        (["--host", "vsphere://esxi.lab", "--recipe", "lab.ini"], "only a Windows is asked there"),
        (["--host", "ssh://node", "--recipe", "lab.ini"], "--host ssh://node: no image is booted there to be verified"),
        (["--host", "beos://node", "--recipe", "lab.ini"], "there is no place of the kind 'beos'"),
    ],
)
def test_where_a_windows_is_booted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """No server is spoken to."""
    monkeypatch.chdir(tmp_path)
    Path("lab.ini").write_text("[hardware]\nvm_id = lab\nos = debian-12\n")
    hand_in(Path(), "lab.ova")
    assert run(["verify", "lab.ova", *words]) == 2
    assert message in capsys.readouterr().err
