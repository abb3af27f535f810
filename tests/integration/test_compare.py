"""why, diff and inspect of real builds: one recipe, edited between two of them, in several formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
    vm_id = compared
    os = debian-12
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = canary-of-compare
[config]
    hostname = compared
    [[files]]
        [[[motd]]]
            source = motd
            dest = /etc/motd
    [[scripts]]
        [[[first]]]
            run = rm /usr/bin/wall; mkdir /srv/made; ln /etc/motd /srv/made/motd
"""
FORMATS = ("tar", "rootfs", "oci")


class Compared:
    """Two builds. Of the first `old`, of the second `new`; answers: of why, before each and after."""

    def __init__(self, vmgen: Run, folder: Path) -> None:
        self.vmgen, self.folder, self.recipe = vmgen, folder, folder / "compared.ini"
        self.answers: list[list[dict[str, Any]]] = []
        self.recipe.write_text(RECIPE)
        (folder / "motd").write_text("welcome\n")
        self._why()
        self.old = self._build("old")
        self._why("old")
        self.recipe.write_text(RECIPE.replace("ana", "maria").replace("canary-of", "canary-2-of"))
        (folder / "motd").write_text("salve\n")
        self._why("old")
        self.new = self._build("new")
        self._why("new")

    def _build(self, name: str) -> Path:
        formats = [word for one in FORMATS for word in ("--format", one)]
        done = self.vmgen(self.recipe, "-o", self.folder / name, *formats)
        assert done.returncode == 0, done.stderr[-3000:]
        return self.folder / name

    def _why(self, name: str = "old") -> None:
        formats = [word for one in FORMATS for word in ("--format", one)]
        done = self.vmgen("why", self.recipe, "--json", "-o", self.folder / name, *formats)
        assert done.returncode == 0, done.stderr[-3000:]
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.answers.append([one for one in found if one["event"] == "why"])

    def diff(self, a: Path, b: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
        done = self.vmgen("diff", a, b, "--json", *words)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def compared(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    return Compared(vmgen, tmp_path_factory.mktemp("compared"))


def test_why_before_and_after_each_build(compared: Compared) -> None:
    before, built, edited, again = ({one["step"]: one for one in answer} for answer in compared.answers)
    assert before["users"]["reason"] == "never"
    for answer in (built, again):
        assert {one["reason"] for one in answer.values()} == {"cached"}
    ran = [step for step, one in edited.items() if one["runs"]]
    assert ran[0] == "users" and {"files", "script-first", "pack"} <= set(ran) and not edited["base"]["runs"]
    users = {change["what"]: change["lines"] for change in edited["users"]["changes"]}
    assert users["something secret of it (passwords) changed"] == []
    assert next(line for line in users["its script changed"] if "maria" in line).startswith("+")
    files = {change["what"]: change["lines"] for change in edited["files"]["changes"]}
    assert files["the content of its file 'motd' changed"] == ["-welcome", "+salve"]
    assert (edited["script-first"]["reason"], edited["script-first"]["changes"]) == ("behind", [])


def test_no_password_is_in_the_cache(compared: Compared, cache: Path) -> None:
    records = list((cache / "records").glob("inputs-*.json"))
    assert records and not any("canary" in path.read_text() for path in records)


def test_diff_of_two_images(compared: Compared) -> None:
    name = "compared-lxc-amd64.tar.zst"
    code, found = compared.diff(compared.old / name, compared.new / name, "--files")
    assert code == 1
    files = {one["name"]: one["sign"] for one in found if one["group"] == "files"}
    assert files["etc/motd"] == files["etc/passwd"] == files["srv/made/motd"] == "~"
    assert (files["home/ana"], files["home/maria"]) == ("-", "+") and "usr/bin/wall" not in files
    assert not [one for one in found if one["group"] == "packages"]
    assert compared.diff(compared.new / name, compared.new / name, "--files")[0] == 0
    assert compared.diff(compared.recipe, compared.new / name)[0] == 0, "it is what the recipe asks for"
    assert compared.diff(compared.recipe, compared.old / name)[0] == 1


def test_each_format_holds_the_same_files(compared: Compared, tmp_path: Path) -> None:
    """A layer takes a file away, and a hard link leads into a layer below."""
    names = ("compared-lxc-amd64.tar.zst", "compared-rootfs-amd64.tar.zst", "compared-amd64.oci.tar")
    for name in names:
        shutil.copy(compared.new / name, tmp_path / name)
    for name in names[1:]:
        code, found = compared.diff(tmp_path / names[0], tmp_path / name, "--files")
        assert [one for one in found if one["group"] in ("files", "packages")] == [] and code == 1
        assert {one["name"] for one in found if one["group"] == "image"} <= {"format"}


def test_inspect_reads_the_packages_that_the_manifest_lists(vmgen: Run, compared: Compared, tmp_path: Path) -> None:
    name = "compared-lxc-amd64.tar.zst"
    listed = json.loads(vmgen("inspect", compared.new / name, "--packages", "--json").stdout)
    shutil.copy(compared.new / name, tmp_path / "other.name")
    bare = json.loads(vmgen("inspect", tmp_path / "other.name", "--packages", "--json").stdout)
    assert listed["packages"] == bare["packages"] and len(bare["packages"]) > 80
    assert (listed["backend"], bare["kind"], bare["host_name"]) == (["lxc"], "lxc", ["compared"])


def test_the_files_that_inspect_lists_are_those_of_tar(vmgen: Run, compared: Compared) -> None:
    path = compared.new / "compared-rootfs-amd64.tar.zst"
    listed = json.loads(vmgen("inspect", path, "--files", "--json").stdout)["files"]
    command = ["tar", "--zstd", "--quoting-style=literal", "-tf", path]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {one["path"] for one in listed} == {name.removeprefix("./").rstrip("/") for name in names} - {""}
