"""A plan written out: everything to read, nothing secret, nothing foreign touched."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.plan.export import export
from vmgen_build.plan.model import Plan


def test_what_is_written(sink: Plan, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    written = export(sink, out)
    names = [str(path.relative_to(out)) for path in written]
    assert names[0] == "01-repositories.sh"
    assert "15-generalise.sh" in names and names[-2:] == ["config", "plan.json"]
    assert sorted(names) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    for index, step in enumerate(sink.steps, 1):
        assert (out / f"{index:02d}-{step.name}.sh").read_text() == step.script
    assert (out / "files/11-files/motd").read_bytes() == b"welcome\n"
    assert (out / "files/13-script-second/script").read_bytes().startswith(b"#!/usr/bin/env python3")
    assert json.loads((out / "plan.json").read_text())["id"] == sink.id


def test_what_a_backend_adds_lies_beside_it(sink: Plan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = export(sink, out, extra={"INSTALL": "read me\n", "config": "never"})
    assert (out / "INSTALL").read_text() == "read me\n" and out / "INSTALL" in written
    assert (out / "config").read_text() == sink.build_recipe["config"], "a plan's own file is never another"
    with pytest.raises(ValueError, match="must be one plain file name"):
        export(sink, out, extra={"../INSTALL": ""})


def test_no_secret_is_written(sink: Plan, tmp_path: Path) -> None:
    users = next(step for step in sink.steps if step.name == "users")
    hashes = [line.split(":", 1)[1] for line in users.secrets["passwords"].reveal().split()]
    out = tmp_path / "out"
    text = b"".join(path.read_bytes() for path in export(sink, out))
    for secret in ("canary-9d1f", "canary-77aa", *hashes):
        assert secret.encode() not in text


def test_again_is_the_same_and_leaves_foreign_files(sink: Plan, planned: Callable[..., Plan], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(sink, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    export(sink, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "01-mine.sh").write_text("mine")
    (out / "notes").write_text("mine")
    small = replace(sink, steps=sink.steps[-1:])
    written = export(small, out)
    left = {path for path in out.rglob("*") if path.is_file()}
    assert left == {*written, out / "01-mine.sh", out / "notes"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": [{"name": "../../x", "dialect": "sh"}]}', '{"steps": 1}'])
def test_a_foreign_plan_json_harms_nothing(sink: Plan, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "x.sh").write_text("mine")
    (out / "plan.json").write_text(text)
    export(sink, out)
    assert (tmp_path / "x.sh").read_text() == "mine"


def test_a_folder_that_cannot_be_written(sink: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=r"cannot write '.*file.*': .*; choose another folder with --output"):
        export(sink, tmp_path / "file" / "out")
