"""Disks for Hyper-V and Azure as a backend packs them: names, sizes, the script beside them, the same bytes twice."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, format_by_name, format_of
from vmgen_build.build.steps import _no_halves
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MIB = 1 << 20
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12\n[[hdds]]\n[[[a]]]\nsize = 8M\n[[[b]]]\nsize = 4M\n"
DRIVERS = {"vhdx": "vhdx", "vhd": "vpc", "vhd-fixed": "vpc"}

Home = Callable[[], Disks]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The second disk is no whole number of MiB, as one that a user brings may be."""

    def come() -> Disks:
        folder = tmp_path / "home"
        folder.mkdir(exist_ok=True)
        for name, size in (("a", 8 * MIB), ("b", 4 * MIB - 512)):
            with (folder / f"{name}.img").open("wb") as file:
                file.truncate(size)
                os.pwrite(file.fileno(), name.encode() * 70_000, MIB)
        return Disks(tuple(Disk(name, folder / f"{name}.img") for name in "ab"))

    return come


def planned(folder: Path, backend: str, text: str = RECIPE) -> Plan:
    (folder / "r.ini").write_text(text)
    recipe = load(folder / "r.ini")
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None))


def packed(plan: Plan, home: Disks, form: str, out: Path) -> tuple[Written, ...]:
    out.mkdir(exist_ok=True)
    return format_of(backend_named(plan.backend), form).pack(plan, home, out, PackOptions("zstd", form), Bus())


@pytest.mark.parametrize("form", DRIVERS)
@pytest.mark.parametrize(("backend", "stem"), [("vmware", "lab"), ("kvm", "lab-kvm-amd64")])
def test_each_disk_is_a_file_and_a_script_makes_the_machine(
    tmp_path: Path, home: Home, backend: str, stem: str, form: str
) -> None:
    plan = planned(tmp_path, backend)
    made = packed(plan, home(), form, tmp_path / "out")
    mark, ending = ("-fixed", "vhd") if form == "vhd-fixed" else ("", form)
    first, second = f"{stem}{mark}.{ending}", f"{stem}{mark}-b.{ending}"
    assert [one.path.name for one in made] == [first, second, f"{first}.ps1"]
    assert [one.sha256 for one in made] == [sha256_of(one.path) for one in made]
    for one, name in zip(made, "ab", strict=False):
        disk = home().disks["ab".index(name)].path
        words = ["qemu-img", "compare", "-f", DRIVERS[form], "-F", "raw", one.path, disk]
        assert subprocess.run(words, capture_output=True).returncode == 0
    script = made[2].path.read_bytes()
    assert script.startswith(b"\xef\xbb\xbf<#\r\n") and f"'{second}'".encode() in script
    again = packed(plan, home(), form, tmp_path / "again")
    assert [one.sha256 for one in again] == [one.sha256 for one in made]
    manifest = {"build_recipe": dict(plan.build_recipe)}
    found = format_by_name(backend_named(backend), made[0].path, form)
    assert found is not None and found.name == form
    assert found.files_of(made[0].path, manifest) == tuple(one.path.name for one in made)


def test_a_disk_for_azure_is_of_whole_mib_and_its_footer_says_so(tmp_path: Path, home: Home) -> None:
    made = packed(planned(tmp_path, "vmware"), home(), "vhd-fixed", tmp_path / "out")
    assert [one.size for one in made[:2]] == [8 * MIB + 512, 4 * MIB + 512]
    assert made[1].path.read_bytes()[-512:][48:56] == (4 * MIB).to_bytes(8, "big")


def test_another_plan_has_other_ids_and_two_disks_never_the_same(tmp_path: Path, home: Home) -> None:
    found = []
    for number, text in enumerate((RECIPE, f"{RECIPE}[config]\nhostname = hal\n")):
        made = packed(planned(tmp_path, "kvm", text), home(), "vhd", tmp_path / f"{number}")
        found += [one.path.read_bytes()[-512:][68:84] for one in made[:2]]
    assert len(set(found)) == 4


def test_what_cannot_be_whole_leaves_nothing(tmp_path: Path, home: Home) -> None:
    (tmp_path / "x.iso").write_bytes(b"cd" * 4096)
    plan = planned(tmp_path, "kvm", f"{RECIPE}[[cds]]\n[[[b]]]\nimage = x.iso\n")
    (tmp_path / "x.iso").write_bytes(b"another")
    with pytest.raises(BuildError, match="changed since the build began"), _no_halves(tmp_path / "out"):
        packed(plan, home(), "vhdx", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_beyond_what_windows_takes_is_refused(tmp_path: Path, home: Home) -> None:
    disks = home()
    os.truncate(disks.disks[0].path, 2041 << 30)
    with pytest.raises(BuildError, match=r"the disk a has 2041 GiB, and a VHD at most 2040 GiB; take --format vhdx"):
        packed(planned(tmp_path, "vmware"), disks, "vhd", tmp_path / "out")
    assert not (tmp_path / "out/lab.vhd").exists()


def test_a_disk_that_is_too_large_is_refused_at_its_line_before_the_build(tmp_path: Path) -> None:
    plan = planned(tmp_path, "kvm", RECIPE.replace("8M", "3T").replace("[[hdds]]", "firmware = efi\n[[hdds]]"))
    for form, count in {"vhd": 1, "vhd-fixed": 1, "vhdx": 0}.items():
        found = format_of(backend_named("kvm"), form).problems(load(tmp_path / "r.ini"), plan)
        assert [problem.path for problem in found] == ["[hardware.hdds.a] size"] * count


def test_cds_lie_beside_the_disks(tmp_path: Path, home: Home) -> None:
    (tmp_path / "x.iso").write_bytes(b"cd" * 4096)
    plan = planned(tmp_path, "kvm", f"{RECIPE}[[cds]]\n[[[a]]]\n[[[b]]]\nimage = x.iso\n")
    made = packed(plan, home(), "vhdx", tmp_path / "out")
    assert [one.path.name for one in made[2:]] == ["lab-kvm-amd64.vhdx-cd1.iso", "lab-kvm-amd64.vhdx.ps1"]
    script = made[3].path.read_text("utf-8-sig")
    assert "Copy-Image 'lab-kvm-amd64.vhdx-cd1.iso' 'lab-kvm-amd64.vhdx-cd1.iso'" in script and "-cd0" not in script
    found = format_of(backend_named("kvm"), "vhdx").files_of(made[0].path, {"build_recipe": dict(plan.build_recipe)})
    assert sorted(found) == sorted(one.path.name for one in made)
