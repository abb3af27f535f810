"""The disks that a throwaway machine on a server gets, of artifacts in each format."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.disk.convert import convert
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.vmdk import extract
from vmgen_build.build.places.servers.throwaway import disks_of
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import FILE, Machine, own_machine_of
from vmgen_build.recipe.load import load

CONTENT = bytes(65536) + b"Windows" * 9000 + bytes(1 << 20)

RECIPE = "[hardware]\nvm_id = lab\nos = win7\nbase = vm:golden\nlogin = Administrator\nlogin_password = x\n"
SECOND = "[[hdds]]\n[[[hdd0]]]\ntype = sata\n[[[hdd1]]]\ntype = sata\nsize = 8G\n"


def machine_of_recipe(folder: Path, text: str = RECIPE) -> Machine:
    path = folder / "lab.ini"
    path.write_text(text)
    return own_machine_of(load(path))


def packed(folder: Path, ending: str, machine: Machine) -> tuple[Path, dict[str, Any]]:
    """An artifact, and its manifest."""
    raw = folder / "made.raw"
    raw.write_bytes(CONTENT + bytes(-len(CONTENT) % 512))
    goal = folder / f"lab.{ending}"
    convert(Disk("hdd0", raw), goal, ending)
    data = goal.read_bytes()
    listed = {"name": goal.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return goal, {"files": [listed], "build_recipe": {FILE: machine.to_json()}}


@pytest.mark.parametrize("ending", ["qcow2", "raw"])
def test_disks_become_streams_for_the_server(tmp_path: Path, ending: str) -> None:
    machine, scratch = machine_of_recipe(tmp_path), tmp_path / "scratch"
    scratch.mkdir()
    artifact, manifest = packed(tmp_path, ending, machine)
    [disk] = disks_of(artifact, manifest, machine, scratch).disks
    assert (disk.name, disk.format, disk.path.parent) == (machine.drives[0].name, "vmdk", scratch)
    with disk.path.open("rb") as file:
        extract(file, tmp_path / "back.raw")
    assert (tmp_path / "back.raw").read_bytes()[: len(CONTENT)] == CONTENT
    assert list(scratch.iterdir()) == [disk.path]


def test_a_recipe_with_other_disks_is_refused(tmp_path: Path) -> None:
    artifact, manifest = packed(tmp_path, "qcow2", machine_of_recipe(tmp_path))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(BuildError, match="has 1 disks, and lab has 2; ask by the recipe that it was made by"):
        disks_of(artifact, manifest, machine_of_recipe(tmp_path, RECIPE + SECOND), scratch)
