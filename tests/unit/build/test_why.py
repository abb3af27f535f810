"""Why a step runs again: real recipes, real plans, and the record that a build keeps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.build import why
from vmgen_build.build.engine import plan_for
from vmgen_build.build.inputs import PACK, key_of, remember, remembered
from vmgen_build.build.options import BuildOptions, StepState
from vmgen_build.build.why import Explained, Reason, explain
from vmgen_build.errors import HostError, StepFailed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

RECIPE = """\
[hardware]
    vm_id = lab
    os = debian-12-amd64
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd_hash = {ana}
[config]
    hostname = lab
    root_passwd_hash = $6$saltsalt$canary-r00t
    [[files]]
        [[[motd]]]
            source = motd
            dest = /etc/motd
        [[[key]]]
            source = key
            dest = /root/key
    [[scripts]]
        [[[first]]]
            file = first.sh
[devel]
    vim = 1
"""
HASHED = RECIPE.format(ana="$6$saltsalt$canary-4na")
CLEAR = HASHED.replace("passwd_hash = $6$saltsalt$", "passwd = ")
"""Which takes a while to be hashed."""
CANARIES = ("canary-4na", "canary-r00t", "canary-in-a-private-file")


Planned = dict[tuple[str, ...], tuple[Recipe, Plan]]


class Lab:
    """A recipe in a folder, and its cache. planned: what was planned of the same files; a plan takes a while."""

    def __init__(self, folder: Path, planned: Planned) -> None:
        self.folder, self.options = folder, BuildOptions(cache=folder / "cache", output=folder / "out", offline=True)
        self.planned = planned
        self.write(HASHED)
        (folder / "motd").write_text("welcome\nto the lab\n")
        (folder / "key").write_text("canary-in-a-private-file\n")
        (folder / "key").chmod(0o600)
        (folder / "first.sh").write_text("#!/bin/sh\necho one\necho canary-4na\n")

    def write(self, text: str) -> None:
        (self.folder / "lab.ini").write_text(text)

    def edit(self, old: str, new: str) -> None:
        text = (self.folder / "lab.ini").read_text()
        assert old in text
        self.write(text.replace(old, new))

    def plan(self) -> tuple[Recipe, Plan]:
        texts = tuple((self.folder / name).read_text() for name in ("lab.ini", "motd", "key"))
        if texts not in self.planned:
            recipe = load(self.folder / "lab.ini")
            self.planned[texts] = (recipe, plan_for(recipe, "lxc", self.options))
        return self.planned[texts]

    def build(self, failed: str = "") -> list[str]:
        """As if it were built; the ids of its layers."""
        recipe, plan = self.plan()
        remember(recipe, plan, self.options, failed)
        return [stage.id for stage in plan.stages] + [plan.id]

    def why(self, kept: Collection[str]) -> Explained:
        recipe, plan = self.plan()
        stages = [(stage.name, stage.title, stage.id) for stage in plan.stages] + [(PACK, "packing for lxc", plan.id)]
        return explain(recipe, self.options, plan, [StepState("lxc", *one, one[2] in kept) for one in stages])

    def record(self) -> str:
        return "".join(path.read_text() for path in (self.options.cache / "records").iterdir())


@pytest.fixture(scope="module")
def planned() -> Planned:
    return {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def lab(folder: Path, planned: Planned) -> Lab:
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return Lab(folder, planned)


def reason(explained: Explained, step: str) -> Reason:
    return next(one for one in explained.reasons if one.step == step)


def changes(explained: Explained, step: str) -> dict[str, tuple[str, ...]]:
    return {change.what: change.lines for change in reason(explained, step).changes}


def codes(explained: Explained) -> set[str]:
    return {one.code for one in explained.reasons}


def test_never_built(lab: Lab) -> None:
    found = lab.why(())
    assert codes(found) == {"never"} and found.when is None
    assert "never built" in found.reasons[0].text


def test_nothing_changed(lab: Lab) -> None:
    kept = lab.build()
    found = lab.why(kept)
    assert codes(found) == {"cached"} and not any(one.changes for one in found.reasons) and found.when is not None


def test_a_line_of_a_script(lab: Lab) -> None:
    kept = lab.build()
    lab.edit("name = ana", "name = maria")
    found = lab.why(kept)
    (line,) = [line for line in changes(found, "users")["its script changed"] if line.startswith("+")]
    assert "maria" in line and changes(found, "users")["something secret of it (passwords) changed"] == ()
    assert reason(found, "system").code == "cached"
    behind = reason(found, "files")
    assert (behind.code, behind.text) == ("behind", "it stands on 'users and groups', which changed")


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("motd", "welcome\nto the class\n", ("-to the lab", "+to the class")),
        ("key", "another\n", ()),
    ],
)
def test_the_content_of_a_file(lab: Lab, name: str, text: str, lines: tuple[str, ...]) -> None:
    """The lines of a private one are not kept."""
    kept = lab.build()
    (lab.folder / name).write_text(text)
    assert changes(lab.why(kept), "files") == {f"the content of its file '{name}' changed": lines}


def test_a_password_alone(lab: Lab) -> None:
    kept = lab.build()
    lab.edit("canary-r00t", "canary-0ther")
    found = lab.why(kept)
    assert changes(found, "users") == {"something secret of it (passwords) changed": ()}
    assert "0ther" not in repr(found) and "r00t" not in repr(found)


def test_the_archive_moved(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = lab.build()
    recipe, plan = lab.plan()
    moved = replace(plan, base=replace(plan.base, release="f" * 64, epoch=1700000000))  # type: ignore[arg-type]
    states = [StepState("lxc", "base", "base system", moved.base.id, moved.base.id in kept)]
    states += [StepState("lxc", s.name, s.title, "other", False) for s in plan.steps]
    found = explain(recipe, lab.options, moved, [*states, StepState("lxc", PACK, "packing for lxc", "x", False)])
    (lines,) = changes(found, "base").values()
    assert lines[1] == "+2023-11-14 22:13:20 UTC (Release ffffffffffff)"
    assert reason(found, "users").text == "it stands on 'base system', which changed"


def test_steps_that_come_and_go(lab: Lab) -> None:
    kept = lab.build()
    lab.edit("[devel]\n    vim = 1\n", "")
    found = lab.why(kept)
    assert found.gone == ("development tools",)
    behind = next(one for one in found.reasons if one.code == "behind")
    assert behind.text == "it stands on 'development tools', which is there no more"
    lab.build()
    lab.write(HASHED)
    assert reason(lab.why(()), "packages-devel").code == "new"


def test_a_step_that_failed(lab: Lab) -> None:
    recipe, plan = lab.plan()
    with pytest.raises(StepFailed), remembered(recipe, plan, lab.options):
        raise StepFailed("files", 3, (), None)
    kept = [stage.id for stage in plan.stages[: [s.name for s in plan.stages].index("files")]]
    found = lab.why(kept)
    assert (reason(found, "users").code, reason(found, "files").code) == ("cached", "failed")
    assert reason(found, "script-first").text == "the last build did not reach it: 'files' failed"


def test_a_layer_that_is_gone(lab: Lab) -> None:
    kept = lab.build()
    found = lab.why(kept[:-2])
    assert {one.step: one.code for one in found.reasons[-2:]} == {"generalise": "gone", PACK: "gone"}


def test_another_version_of_the_tool(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = lab.build()
    monkeypatch.setattr(why, "__version__", "99.0")
    assert "99.0" in lab.why(kept).notes[0]


def test_no_secret_is_in_the_record(lab: Lab) -> None:
    """Nor a digest by which one is quickly guessed at, nor the crypt hash, nor a script that holds one."""
    lab.write(CLEAR)
    lab.build()
    text = lab.record()
    assert all(canary not in text for canary in CANARIES) and "$6$" not in text
    private = (lab.folder / "key").read_bytes()
    digests = [hashlib.sha256(data).hexdigest() for data in (*(one.encode() for one in CANARIES), private)]
    assert all(digest not in text for digest in digests)
    assert "welcome" in text and "echo one" not in text
    _, plan = lab.plan()
    secrets = [secret.reveal().encode() for step in plan.steps for secret in step.secrets.values()]
    assert secrets and all(hashlib.sha256(one).hexdigest() not in text for one in secrets)


def test_each_record_has_a_salt_of_its_own(lab: Lab) -> None:
    lab.build()
    first = json.loads(lab.record())
    lab.build(failed="users")
    second = json.loads(lab.record())
    digest = {one["name"]: one["digests"] for one in first["stages"]}["users"]["secret:passwords"]
    assert first["salt"] != second["salt"] and digest not in json.dumps(second)


def test_the_record_is_nobody_elses(lab: Lab) -> None:
    lab.build()
    assert (lab.options.cache / "records").stat().st_mode & 0o077 == 0


def test_a_build_that_changed_nothing_leaves_the_record(lab: Lab) -> None:
    lab.build()
    before = lab.record()
    lab.build()
    assert lab.record() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"salt": "', '"salt": "x'),
        lambda text: "[]",
    ],
)
def test_a_record_that_makes_no_sense_is_none(lab: Lab, spoil: Callable[[str], str]) -> None:
    kept = lab.build()
    (path,) = (lab.options.cache / "records").iterdir()
    path.write_text(spoil(path.read_text()))
    assert codes(lab.why(kept)) == {"cached"} and lab.why(kept).when is None


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a file of another user")
def test_a_record_of_another_user_is_named_as_such(lab: Lab) -> None:
    lab.build()
    recipe, plan = lab.plan()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setuid(65534)
            explain(recipe, lab.options, plan, [])
        except HostError as error:
            code = 0 if "may not read" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_recipes_and_places_have_records_of_their_own(lab: Lab, tmp_path: Path) -> None:
    recipe, plan = lab.plan()
    there = replace(lab.options, host="ssh://root:pass@node")
    other = replace(recipe, path=tmp_path / "other.ini")
    keys = {key_of(recipe, plan, lab.options), key_of(recipe, plan, there), key_of(other, plan, lab.options)}
    assert len(keys) == 3
