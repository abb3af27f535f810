"""A Windows that Setup makes in a build, without one that runs: the plan that begins with it, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.artifacts.media.test_wim import medium as udf_medium
from tests.unit.artifacts.media.test_wim import wim
from tests.unit.build.test_media import iso
from vmgen_build.artifacts.media import WindowsImage
from vmgen_build.artifacts.media.eltorito import SECTOR
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import _plan
from vmgen_build.build.installing import _check_same, cds_of, installed_problems, installed_requirements
from vmgen_build.build.medium import choose_media
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.plan.bases import InstalledMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

RECIPE = """[hardware]
vm_id = lab
os = {os}
base = iso:setup.iso
{hardware}
[config]
root_passwd = {password}
{config}
"""


def medium(path: Path, *platforms: int, maker: bytes = b"Microsoft Corporation") -> None:
    """What starts a machine by these platforms (El Torito: 0 a BIOS, 0xEF EFI)."""
    record = (b"\0CD001\1EL TORITO SPECIFICATION").ljust(0x47, b"\0") + (18).to_bytes(4, "little")
    first, *others = platforms
    catalog = bytes([1, first, 0, 0]) + maker.ljust(24, b"\0") + b"\0\0\x55\xaa" + b"\x88".ljust(32, b"\0")
    for platform in others:
        catalog += bytes([0x91, platform]).ljust(32, b"\0") + b"\x88".ljust(32, b"\0")
    head = b"\1CD001\1".ljust(SECTOR, b"\0")
    path.write_bytes(bytes(16 * SECTOR) + head + record.ljust(SECTOR, b"\0") + catalog.ljust(SECTOR, b"\0"))


def read(
    folder: Path,
    os: str = "win10",
    hardware: str = "tools = tools.iso",
    config: str = "",
    password: str = "c4n4ry-root",
) -> Recipe:
    if not (folder / "setup.iso").exists():
        medium(folder / "setup.iso", 0, 0xEF)
    iso(folder / "tools.iso")
    (folder / "tools.msi").write_bytes(b"\xd0\xcf")
    path = folder / "lab.ini"
    path.write_text(RECIPE.format(os=os, hardware=hardware, config=config, password=password))
    return load(path)


def plan(recipe: Recipe, backend: str = "kvm") -> Plan:
    facts = choose_media(recipe, Facts()).facts
    return _plan(
        recipe,
        backend_named(backend).name,
        BuildOptions(cache=recipe.folder / "cache", backends=(backend,), host="qemu:"),
        facts,
    )


def base(recipe: Recipe) -> InstalledMachine:
    found = plan(recipe).base
    assert isinstance(found, InstalledMachine)
    return found


@pytest.mark.parametrize("backend", ["kvm", "vmware"])
def test_the_steps_follow_setup(tmp_path: Path, backend: str) -> None:
    made = plan(read(tmp_path, config="timezone = Europe/Bucharest"), backend)
    assert isinstance(made.base, InstalledMachine)
    assert (made.base.title, made.steps[0].parent) == ("Setup from setup.iso", made.base.id)
    assert [step.name for step in made.steps] == ["system", "users", "network", "clean", "generalise"]
    assert made.base.origin()["sha256"] == made.base.media["base"].sha256
    assert "c4n4ry" not in str(made.as_dict())


@pytest.mark.parametrize(
    ("hardware", "config", "password"),
    [
        ("tools = tools.iso", "hostname = other\ntimezone = Europe/Bucharest\nlocale = ro_RO.UTF-8", "c4n4ry-root"),
        ("tools = tools.iso\nram = 4G\nnum_cpu = 2", "packages = git", "another"),
    ],
)
def test_what_steps_set_leaves_the_installed_machine_as_it_is(
    tmp_path: Path, hardware: str, config: str, password: str
) -> None:
    other = read(tmp_path, hardware=hardware, config=config, password=password)
    assert base(other).id == base(read(tmp_path)).id


@pytest.mark.parametrize(
    ("hardware", "config"),
    [
        ("tools = tools.msi", ""),
        ("tools = tools.iso\nedition = 3", ""),
        ("tools = tools.iso\ndrivers = tools.iso", ""),
        ("tools = tools.iso\nfirmware = efi", ""),
        ("tools = tools.iso\n[[hdds]]\n[[[hdd0]]]\nsize = 64G\ntype = sata", ""),
        ("tools = tools.iso\n[[hdds]]\n[[[hdd0]]]\ntype = ide", ""),
        ("tools = tools.iso", "product_key = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"),
    ],
)
def test_what_setup_depends_on_makes_another_one(tmp_path: Path, hardware: str, config: str) -> None:
    first = base(read(tmp_path))
    other = base(read(tmp_path, hardware=hardware, config=config))
    assert other.id != first.id and "AAAAA" not in str(other.as_dict())


def test_another_medium_is_another_one_and_one_that_changes_is_refused(tmp_path: Path) -> None:
    first = base(read(tmp_path))
    _check_same(first)
    medium(tmp_path / "setup.iso", 0, 0xEF, maker=b"Microsoft Corp")
    assert base(read(tmp_path)).id != first.id
    with pytest.raises(BuildError, match=r"setup\.iso"):
        _check_same(first)


def test_each_image_is_put_in_once_the_medium_first(tmp_path: Path) -> None:
    made = base(read(tmp_path, hardware="tools = tools.iso\ndrivers = tools.iso"))
    names = [path.name for path in cds_of(made, Path("answers.iso"))]
    assert names == ["setup.iso", "answers.iso", "tools.iso"]
    made = base(read(tmp_path, hardware="tools = tools.msi"))
    assert [path.name for path in cds_of(made, Path("answers.iso"))] == ["setup.iso", "answers.iso"]


def test_only_xp_needs_a_floppy(tmp_path: Path) -> None:
    programs = {
        os: {one.command for one in installed_requirements(plan(read(tmp_path, os)))} for os in ("win7", "winxp")
    }
    assert programs == {"win7": {"xorrisofs"}, "winxp": {"xorrisofs", "mformat", "mmd", "mcopy"}}


@pytest.mark.parametrize(
    ("os", "hardware", "line", "option", "text"),
    [
        ("win10", "", 4, "base", "write tools = virtio-win.iso"),
        ("win10", "tools = tools.iso\ncommunicator = ssh", 6, "communicator", "by the guest agent alone"),
        ("win11", "tools = tools.iso\nram = 4G", 3, "os", "wants a TPM and secure boot"),
        ("win10", "tools = tools.iso\n[[hdds]]\n[[[hdd0]]]\ntype = scsi", 8, "type", "write type = sata"),
        ("winxp", "tools = tools.msi\n[[hdds]]\n[[[hdd0]]]\ntype = scsi", 8, "type", "write type = ide"),
    ],
)
def test_what_setup_cannot_make(tmp_path: Path, os: str, hardware: str, line: int, option: str, text: str) -> None:
    (problem,) = installed_problems(read(tmp_path, os, hardware))
    assert (problem.where.line, problem.path.split()[-1]) == (line, option)
    assert text in problem.text


def test_administrator_needs_a_password(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    recipe = replace(recipe, config=replace(recipe.config, root_passwd=None))
    (problem,) = installed_problems(recipe)
    assert "write root_passwd" in problem.text


@pytest.mark.parametrize(
    ("platforms", "os", "hardware", "line", "text"),
    [
        ((0,), "win10", "tools = tools.iso\nfirmware = efi", 6, "by efi; write firmware = bios"),
        ((0xEF,), "win10", "tools = tools.iso", 4, "by bios; write firmware = efi"),
        ((0xEF,), "winxp", "tools = tools.iso", 4, "by bios, as Windows XP asks; name another medium"),
        ((), "win10", "tools = tools.iso", 4, "starts no machine: it is no medium of Windows"),
        ((0,), "win10", f"tools = tools.iso\nbase_sha256 = {'0' * 64}", 6, "has the sha256"),
    ],
)
def test_a_medium_that_setup_does_not_start_from(
    tmp_path: Path, platforms: tuple[int, ...], os: str, hardware: str, line: int, text: str
) -> None:
    if platforms:
        medium(tmp_path / "setup.iso", *platforms)
    else:
        iso(tmp_path / "setup.iso")
    recipe = read(tmp_path, os, hardware)
    with pytest.raises(RecipeError) as caught:
        choose_media(recipe, Facts())
    (problem,) = caught.value.problems
    assert (problem.where.line, text in problem.text) == (line, True), problem


def test_a_medium_of_another_maker_is_asked_about(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    assert choose_media(recipe, Facts()).note == ""
    medium(tmp_path / "setup.iso", 0, maker=b"Somebody")
    assert "is it a medium of Windows?" in choose_media(recipe, Facts()).note


HOME, PRO = WindowsImage(1, "Windows 10 Home", "amd64", (10, 0)), WindowsImage(6, "Windows 10 Pro", "amd64", (10, 0))
SEVEN = WindowsImage(1, "Windows 7 Ultimate", "amd64", (6, 1))
NARROW = WindowsImage(1, "Windows 10 Pro", "i386", (10, 0))


@pytest.mark.skipif(not shutil.which("genisoimage"), reason="needs genisoimage")
@pytest.mark.parametrize(
    ("images", "more", "line", "text"),
    [
        ((HOME, PRO), "edition = windows 10 pro", 0, ""),
        ((HOME, PRO), "edition = 6", 0, ""),
        ((PRO,), "", 0, ""),
        ((HOME, PRO), "[config]\nproduct_key = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE", 0, ""),
        (
            (HOME, PRO),
            "edition = Enterprise",
            6,
            "no image 'Enterprise'; it has Windows 10 Home (1), Windows 10 Pro (6)",
        ),
        ((HOME, PRO), "", 4, "has several images, and Setup asks which; write edition as well: Windows 10 Home (1)"),
        ((SEVEN,), "", 3, "installs is Windows 7 Ultimate, and no Windows 10; write the os that it is"),
        ((NARROW,), "", 3, "installs is for i386; write win10-i386"),
    ],
)
def test_the_images_of_the_medium_are_looked_at(
    tmp_path: Path, images: tuple[WindowsImage, ...], more: str, line: int, text: str
) -> None:
    """One with UDF, that a BIOS starts."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/boot.img").write_bytes(bytes(2048))
    boot = ("-b", "boot.img", "-no-emul-boot", "-boot-load-size", "4")
    udf_medium(tmp_path, "-udf", *boot, content=wim(*images)).rename(tmp_path / "setup.iso")
    hardware, _, config = more.partition("[config]\n")
    recipe = read(tmp_path, hardware=f"tools = tools.iso\n{hardware}", config=config)
    if not text:
        assert choose_media(recipe, Facts()).facts.media.keys() == {"base", "tools"}
        return
    with pytest.raises(RecipeError) as caught:
        choose_media(recipe, Facts())
    (problem,) = caught.value.problems
    assert (problem.where.line, text in problem.text) == (line, True), problem
