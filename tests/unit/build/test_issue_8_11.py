"""Issue 8, item 11: modes follow content."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.build.logfile import open_log
from vmgen_build.host.files import private_files, whole_file, write_whole
from vmgen_build.plan.context import Facts
from vmgen_build.plan.export import export
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
FILE = "[config]\n[[files]]\n[[[f]]]\nsource = f\ndest = /srv/f\nmode = {}\n"
SCRIPT = "[config]\n[[scripts]]\n[[[s]]]\nfile = f\n"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def planned(folder: Path, text: str, source_mode: int = 0o644) -> Plan:
    (folder / "f").write_text("#!/bin/sh\n")
    (folder / "f").chmod(source_mode)
    path = folder / "lab.ini"
    path.write_text(HEAD + text)
    return make_plan(load(path), "lxc", Part(), Facts("release", 1700000000), None)


@pytest.mark.parametrize(
    ("text", "source_mode", "private"),
    [
        ("", 0o644, False),
        ("[users]\n[[users]]\n[[[a]]]\nname = ana\nsudo = yes\n", 0o644, False),
        ("[config]\nroot_passwd = x\n", 0o644, True),
        ("[users]\n[[users]]\n[[[a]]]\nname = ana\npasswd = x\n", 0o644, True),
        (FILE.format("0644"), 0o644, False),
        (FILE.format("0640"), 0o644, True),
        (FILE.format("0644"), 0o600, True),
        (SCRIPT, 0o755, False),
        (SCRIPT, 0o700, True),
    ],
)
def test_an_artifact_is_private_that_holds_a_hash_or_a_private_file(
    tmp_path: Path, text: str, source_mode: int, private: bool
) -> None:
    assert planned(tmp_path, text, source_mode).private is private


def test_files_get_the_mode_of_their_content(tmp_path: Path) -> None:
    for private, expected in ((True, 0o600), (False, 0o644)):
        goal = tmp_path / f"{private}"
        with private_files(private):
            with whole_file(goal) as file:
                (part,) = tmp_path.glob(f".{private}.part-*")
                assert mode(part) == expected
                file.write(b"x")
            write_whole(tmp_path / "manifest", "no secret")
        assert (mode(goal), mode(tmp_path / "manifest")) == (expected, 0o644)


def test_a_log_is_its_builders_alone(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    with open_log(folder, "lab") as log:
        assert (mode(log.path), mode(folder)) == (0o600, 0o700)


def test_exported_files_of_secret_origin_are_their_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(planned(tmp_path, SCRIPT, 0o755), out)
    (script,) = out.glob("files/*/script")
    assert (mode(script), mode(out / "plan.json")) == (0o755, 0o644)
    export(planned(tmp_path, SCRIPT, 0o700), out)
    assert mode(script) == 0o700
    export(planned(tmp_path, FILE.format("0600")), out)
    (copied,) = out.glob("files/*/f")
    assert mode(copied) == 0o600
