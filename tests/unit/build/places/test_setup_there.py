"""A Windows that Setup makes on a server, without one: what is refused, and what its id depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.build.test_installing import read
from vmgen_build.build.engine import _plan
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.servers.installed import _empty_disks, look_at_media, setup_problems
from vmgen_build.errors import RecipeError
from vmgen_build.guests.vsphere.setupkey import known_setup_key
from vmgen_build.plan.bases import InstalledMachine
from vmgen_build.plan.context import Facts, PlanContext, guest_renderer
from vmgen_build.plan.machine import machine_of
from vmgen_build.plan.setupmedia import media_of_build
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret

TOOLS = "tools = tools.iso"


def options(cache: Path) -> BuildOptions:
    return BuildOptions(cache=cache, backends=("vmware",), host="vsphere://vcenter")


def base(recipe: Recipe, cache: Path) -> InstalledMachine:
    look = look_at_media(recipe, Facts(), options(cache), prepares=True)
    found = _plan(recipe, "vmware", options(cache), look.facts).base
    assert isinstance(found, InstalledMachine)
    return found


def test_what_setup_makes_is_of_the_key_and_not_of_the_recipe_s_password(tmp_path: Path) -> None:
    first = base(read(tmp_path), tmp_path / "cache")
    assert base(read(tmp_path, password="another", config="hostname = other"), tmp_path / "cache").id == first.id
    assert base(read(tmp_path), tmp_path / "other").id != first.id, "nobody else knows its password"
    key = known_setup_key(tmp_path / "cache")
    assert key is not None and first.content()["key"] == first.key == key.name
    assert key.secret.reveal() not in str(first.as_dict())
    assert replace(first, key="").id != first.id


def test_the_tools_are_vmware_s(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    ctx = PlanContext(recipe, recipe.hardware.os, Facts(), (), guest_renderer(recipe, None))
    scripts = {
        vmware: [data for name, data in media_of_build(ctx, Secret("x"), vmware=vmware).cd.items() if "tools" in name]
        for vmware in (True, False)
    }
    assert any(b"setup64.exe" in one for one in scripts[True] if isinstance(one, bytes))
    assert not any(b"setup64.exe" in one for one in scripts[False] if isinstance(one, bytes))
    facts = look_at_media(recipe, Facts(), options(tmp_path / "cache"), prepares=True).facts
    here = _plan(recipe, "vmware", options(tmp_path / "cache"), replace(facts, setup_key="")).base
    assert isinstance(here, InstalledMachine) and here.answers != base(recipe, tmp_path / "cache").answers


def test_a_look_makes_no_key(tmp_path: Path) -> None:
    recipe, cache = read(tmp_path), tmp_path / "cache"
    look = look_at_media(recipe, Facts(), options(cache), prepares=False)
    assert "key" in look.unknown and known_setup_key(cache) is None
    assert look_at_media(recipe, Facts(), options(cache), prepares=True).unknown == ""
    again = look_at_media(recipe, Facts(), options(cache), prepares=False)
    assert again.unknown == "" and again.facts.setup_key != look.facts.setup_key


@pytest.mark.parametrize(
    ("os", "hardware", "line", "option", "text"),
    [
        ("win10", "", 4, "base", "write tools = windows.iso"),
        ("win10", f"{TOOLS}\ncommunicator = agent", 6, "communicator", "by VMware Tools alone"),
        ("win11", f"{TOOLS}\nram = 4G", 3, "os", "--host vsphere: gives neither"),
        ("win10", f"{TOOLS}\n[[hdds]]\n[[[hdd0]]]\ntype = scsi", 8, "type", "no driver for lsilogic"),
        ("winxp", f"{TOOLS}\n[[hdds]]\n[[[hdd0]]]\ntype = sata", 8, "type", "write type = ide"),
        (
            "win10",
            f"drivers = drivers.iso\n{TOOLS}\n[[hdds]]\n[[[hdd0]]]\ntype = ide",
            4,
            "base",
            "takes 4 CD drives, and the IDE controllers have places for 3",
        ),
        (
            "win10",
            f"{TOOLS}\n[[hdds]]\n[[[a]]]\ntype = sata\n[[[b]]]\nsize = 8G\ntype = ide",
            1,
            "[[hdds]]",
            "that is another than the recipe's first",
        ),
    ],
)
def test_what_setup_cannot_make(tmp_path: Path, os: str, hardware: str, line: int, option: str, text: str) -> None:
    (tmp_path / "drivers.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    recipe = read(tmp_path, os, hardware)
    (problem,) = setup_problems(recipe)
    assert (problem.where.line, problem.path.split()[-1]) == (line, option), problem
    assert text in problem.text
    with pytest.raises(RecipeError):
        look_at_media(recipe, Facts(), options(tmp_path / "cache"), prepares=True)
    assert known_setup_key(tmp_path / "cache") is None


@pytest.mark.parametrize(("os", "more"), [("win7", "type = scsi"), ("winxp", "type = ide"), ("win10", "type = nvme")])
def test_disks_that_setup_has_a_driver_for(tmp_path: Path, os: str, more: str) -> None:
    assert list(setup_problems(read(tmp_path, os, f"{TOOLS}\n[[hdds]]\n[[[hdd0]]]\n{more}"))) == []


def test_an_empty_disk_takes_no_room(tmp_path: Path) -> None:
    drives = machine_of(read(tmp_path)).drives
    [disk] = _empty_disks(drives, tmp_path).disks
    assert (disk.path.name, disk.format) == (drives[0].file, "vmdk")
    assert disk.path.stat().st_size < 1 << 20 < (drives[0].size or 0)
    assert not (tmp_path / "hdd0.raw").exists()
