"""diff, inspect and why at the command line: what is shown, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.artifacts.test_contents import ROOT, link, tar_of
from tests.unit.build.test_diff import MANIFEST, image, written
from vmgen_build.cli.main import run

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_exit_codes_of_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.json", MANIFEST)
    b = written(tmp_path / "b.json", {**MANIFEST, "os": "debian-13"})
    assert run(["diff", str(a), str(a)]) == 0
    assert lines_of(capsys)[-1] == "nothing differs"
    assert run(["diff", str(a), str(b)]) == 1
    assert lines_of(capsys)[2:] == ["image (1 ~)", "  ~ system  debian-12 amd64 -> debian-13 amd64"]
    for wrong in (tmp_path / "none", tmp_path):
        assert run(["diff", str(a), str(wrong)]) == 2
        assert "there is no file" in capsys.readouterr().err
    (tmp_path / "odd").write_bytes(bytes(100))
    assert run(["diff", str(a), str(tmp_path / "odd")]) == 2
    assert run(["diff", "-q", str(a), str(b)]) == 1
    assert lines_of(capsys) == []


def test_diff_as_json_and_at_80_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {"name": "x" * 60, "version": "1" * 60, "arch": "all"}
    a = written(tmp_path / "a.json", MANIFEST)
    b = written(tmp_path / "b.json", {**MANIFEST, "packages": [*MANIFEST["packages"], long]})
    assert run(["diff", "--json", str(a), str(b)]) == 1
    (one,) = map(json.loads, lines_of(capsys))
    assert (one["event"], one["group"], one["sign"], one["new"]) == ("difference", "packages", "+", "1" * 60)
    assert run(["diff", str(a), str(b)]) == 1
    assert all(len(line) <= 80 for line in lines_of(capsys)[2:])


def test_what_an_image_says_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "\x1b[2Jodd\u202ename"
    bare = tmp_path / "odd.tar"
    bare.write_bytes(tar_of({**ROOT, f"etc/{odd}": b"x"}, [link("usr/l", odd)]))
    for words in (["--files"], []):
        assert run(["inspect", str(bare), *words]) == 0
        text = capsys.readouterr().out
        assert "\x1b" not in text and "\u202e" not in text
    assert run(["inspect", str(bare), "--files", "--json"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and f"etc/{odd}" in [file["path"] for file in json.loads(text)["files"]]


def test_inspect_with_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = image(tmp_path / "lab.tar", {}, MANIFEST)
    assert run(["inspect", str(path)]) == 0
    text = "\n".join(lines_of(capsys))
    for word in (
        "lab.tar.manifest.json describes this very file",
        "debian-12 amd64",
        "22/tcp; 80/tcp",
        "packages    2",
    ):
        assert word in text
    assert run(["inspect", str(path), "--packages"]) == 0
    assert lines_of(capsys) == ["vim  1  amd64", "old  1  all"]
    assert run(["inspect", f"{path}.manifest.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "manifest"


def test_inspect_without_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "root.tar"
    bare.write_bytes(tar_of({**ROOT, "usr/lib/os-release": b'PRETTY_NAME="Odd Linux 1"\n'}))
    assert run(["inspect", str(bare), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["kind"], data["system"], data["packages_total"]) == ("root", ["Odd Linux 1"], None)
    assert data["users"] == ["root (uid 0, /root, /bin/sh)"]
    assert run(["inspect", str(bare), "--packages"]) == 1
    assert "nothing is known of its packages" in capsys.readouterr().err
    assert run(["inspect", str(bare), "--files"]) == 0
    assert "-rw-r-----  1000  2000           5 usr/x" in lines_of(capsys)


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (None, 2, "there is no file"),
        (HEAD.encode(), 1, "is no artifact"),
        (b'{"format": 1}', 1, "lacks name"),
        (tar_of(ROOT)[:1500], 1, "cannot be read to its end"),
    ],
)
def test_inspect_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, code: int, message: str
) -> None:
    path = tmp_path / "some"
    if data is not None:
        path.write_bytes(data)
    assert run(["inspect", str(path)]) == code
    assert message in capsys.readouterr().err


def test_why_of_what_was_never_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "lab.ini"
    recipe.write_text(HEAD)
    words = ["why", str(recipe), "--offline", "--cache", str(tmp_path / "cache")]
    assert run(words) == 0
    assert "this recipe was never built here before (each)" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    steps = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {step["reason"] for step in steps if "reason" in step} == {"never"}
    assert not (tmp_path / "cache/records").exists()
    recipe.write_text("[hardware]\nos = beos\n")
    assert run(words) == 2
