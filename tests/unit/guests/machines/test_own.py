"""A whole machine of the user's, without one that runs: the plan that begins with it, and what is made of its disks."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk.convert import opened
from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.forms import disk_at, root_at
from vmgen_build.build.engine import _plan
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.qemu import QemuPlace
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.guests.machines.imported import imported_disks
from vmgen_build.guests.qemu.machines import as_started
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.bases import DiskMachine, Image
from vmgen_build.plan.context import Facts
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

MIB = 1 << 20
CANARY = "canary-of-the-login"

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")

RECIPE = """\
[hardware]
vm_id = lab
os = {os}
base = base.{form}
{login}
{hdds}
[users]
[[users]]
[[[user0]]]
name = ana
[config]
packages = ed
"""
LOGIN = f"login = ana\nlogin_password = {CANARY}"


def recipe(folder: Path, *, login: str = LOGIN, hdds: str = "", os: str = "debian-12", form: str = "raw") -> Recipe:
    path, base = folder / "lab.ini", folder / f"base.{form}"
    if not base.exists():
        base.write_bytes(bytes(MIB))
    path.write_text(RECIPE.format(login=login, hdds=hdds, os=os, form=form))
    return load(path)


def place_for(folder: Path, backend: str = "kvm") -> QemuPlace:
    return QemuPlace(BuildOptions(cache=folder / "cache", backends=(backend,), host="qemu:"))


def plan(folder: Path, backend: str = "kvm", **more: str) -> Plan:
    read, place = recipe(folder, **more), place_for(folder, backend)
    look = place.look(read, backend_named(backend), Facts())
    return _plan(read, backend, place.options, look.facts)


@pytest.mark.parametrize("backend", ["vmware", "kvm"])
def test_a_machine_s_kernel_and_boot_loader_are_its_own(tmp_path: Path, backend: str) -> None:
    made = plan(tmp_path, backend)
    assert isinstance(made.base, DiskMachine)
    names = [step.name for step in made.steps]
    assert names == ["packages-config", f"tools-{backend}", "system", "users", "network", "links", "generalise"]
    assert made.steps[0].parent == made.base.id
    machine = Machine.from_json(made.build_recipe[FILE])
    assert [drive.volumes for drive in machine.drives] == [()], "what its disks hold is not known"
    probes = {probe.name for probe in made.all_probes()}
    assert "eth0-hw-addr" in probes and not probes & {"kernel", "boot-loader", "fstab"}


def test_a_system_that_is_no_debian_is_not_refused(tmp_path: Path) -> None:
    assert plan(tmp_path, os="almalinux-9").steps[0].name == "packages-config"


def test_what_the_base_s_id_hangs_on(tmp_path: Path) -> None:
    first = plan(tmp_path)
    assert plan(tmp_path, login=LOGIN.replace(CANARY, "another")).base.id == first.base.id
    others = [
        plan(tmp_path, login=LOGIN.replace("ana", "bea")),
        plan(tmp_path, login="communicator = agent"),
        plan(tmp_path, hdds="[[hdds]]\n[[[hdd0]]]\nsize = 3G"),
        plan(tmp_path, form="img"),
    ]
    (tmp_path / "base.raw").write_bytes(bytes(MIB) + b"x")
    ids = {one.base.id for one in (first, *others, plan(tmp_path))}
    assert len(ids) == 5, "raw and img are one format"
    assert plan(tmp_path).to_json().count(CANARY) == 0


def test_a_base_without_a_login_is_taken_for_what_it_holds(tmp_path: Path) -> None:
    read, place = recipe(tmp_path, login=""), place_for(tmp_path)
    look = place.look(read, backend_named("kvm"), Facts())
    assert not look.facts.started and look.facts.agent
    assert "to start it as it is" in look.note


def problems(folder: Path, **more: str) -> list[str]:
    read, place = recipe(folder, **more), place_for(folder)
    look = place.look(read, backend_named("kvm"), Facts())
    return [str(one) for one in place.problems(read, _plan(read, "kvm", place.options, look.facts), look)]


def test_what_cannot_be_where_it_is_started(tmp_path: Path) -> None:
    assert problems(tmp_path) == []
    partitions = "[[hdds]]\n[[[hdd0]]]\n[[[[partitions]]]]\n[[[[[p]]]]]\nmount = /"
    (found,) = problems(tmp_path, hdds=partitions)
    assert "its disks keep their own partitions" in found and "lab.ini:" in found
    (found,) = problems(tmp_path, login=f"{LOGIN}\ncommunicator = tools")
    assert found.endswith("QEMU has no VMware Tools to speak to; write communicator = ssh, or agent")


def test_a_tar_is_no_machine(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(b"x")
    with pytest.raises(RecipeError, match=r"base.tar is no disk; a machine starts from a file named .qcow2"):
        plan(tmp_path, form="tar")
    (tmp_path / "base.ova").write_bytes(bytes(1024))
    with pytest.raises(RecipeError, match="is named as an OVA, and is none"):
        plan(tmp_path, form="ova")
    with pytest.raises(ValueError, match="started as it is with --host qemu:"):
        root_at(tmp_path / "base.ova", "amd64")


def test_nothing_is_asked_of_this_host_but_qemu(tmp_path: Path) -> None:
    read, place = recipe(tmp_path), place_for(tmp_path)
    look = place.look(read, backend_named("kvm"), Facts())
    needed = place.requirements(_plan(read, "kvm", place.options, look.facts), look)
    assert {one.command for one in needed} == {"qemu-system-x86_64", "qemu-img"}


def machine_with(folder: Path, *sizes: int | None) -> Machine:
    """Of disks of these sizes."""
    machine = as_started(Machine.from_json(plan(folder).build_recipe[FILE]))
    data = json.loads(machine.to_json())
    data["drives"] = [
        data["drives"][0] | {"name": f"hdd{n}", "size": size, "boot": n == 0, "unit": n} for n, size in enumerate(sizes)
    ]
    return Machine.from_json(json.dumps(data))


def base_of(path: Path, form: str) -> DiskMachine:
    return DiskMachine(Image(path, form, sha256_of(path)), "ssh", "ana", "{}")


def image(path: Path, size: int = 4 * MIB) -> Path:
    raw = path.with_suffix(".plain")
    with raw.open("wb") as file:
        file.truncate(size)
        file.write(b"the user's")
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", path.suffix[1:], raw, path], check=True)
    return path


def disk_sizes(folder: Path, base: DiskMachine, machine: Machine) -> Mapping[str, int]:
    scratch = folder / "scratch"
    scratch.mkdir()
    found = {}
    for disk in imported_disks(base, machine, scratch).disks:
        assert disk.format == "qcow2"
        with opened(disk.path) as file:
            found[disk.name] = check_qcow2(file)
    return found


def content(image: Path) -> bytes:
    raw = image.with_suffix(".back")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw], check=True)
    return raw.read_bytes()


@needs_qemu_img
@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk"])
def test_a_disk_is_taken_in_grown_and_left_as_it_is(tmp_path: Path, form: str) -> None:
    path = image(tmp_path / f"machine.{form}")
    path.chmod(0o600)
    before = sha256_of(path), path.stat().st_uid, path.stat().st_mtime_ns
    machine = machine_with(tmp_path, 6 * MIB, 8 * MIB)
    assert disk_sizes(tmp_path, base_of(path, form), machine) == {"hdd0": 6 * MIB, "hdd1": 8 * MIB}
    assert content(tmp_path / "scratch/hdd0.qcow2").startswith(b"the user's")
    assert not any(content(tmp_path / "scratch/hdd1.qcow2"))
    assert (sha256_of(path), path.stat().st_uid, path.stat().st_mtime_ns) == before


@needs_qemu_img
def test_a_size_that_is_left_open_is_the_image_s(tmp_path: Path) -> None:
    path = image(tmp_path / "machine.qcow2")
    assert disk_sizes(tmp_path, base_of(path, "qcow2"), machine_with(tmp_path, None)) == {"hdd0": 4 * MIB}


@needs_qemu_img
def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    base = base_of(image(tmp_path / "machine.qcow2"), "qcow2")
    scratch = tmp_path / "scratch"
    for sizes, message in (
        ((2 * MIB,), r"the base has 4.2 MB, and \[hardware.hdds.hdd0\] size gives it 2.1 MB"),
        ((None, None), "disk 'hdd1' is none of the base's, and is made empty: give it a size"),
    ):
        scratch.mkdir()
        with pytest.raises(BuildError, match=message):
            imported_disks(base, machine_with(tmp_path, *sizes), scratch)
        shutil.rmtree(scratch)


@needs_qemu_img
def test_an_image_that_leads_elsewhere_or_was_changed_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "machine.qcow2")
    base, machine = base_of(path, "qcow2"), machine_with(tmp_path, None)
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", path], check=True)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(BuildError, match="sha256"):
        imported_disks(base, machine, tmp_path / "scratch")
    with pytest.raises(BuildError, match="leads to another file, its backing file"):
        imported_disks(base_of(path, "qcow2"), machine, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References>{files}</References><DiskSection><Info/>{disks}</DiskSection></Envelope>
"""


def ova(path: Path, disks: list[Path], *, sums: str = "") -> Path:
    """As another tool may have made it: with owners, without a manifest."""
    files = "".join(
        f'<File ovf:id="f{n}" ovf:href="{d.name}" ovf:size="{d.stat().st_size}"/>' for n, d in enumerate(disks)
    )
    sections = "".join(
        f'<Disk ovf:diskId="d{n}" ovf:fileRef="f{n}" ovf:capacity="4" ovf:capacityAllocationUnits="byte * 2^20"/>'
        for n, _ in enumerate(disks)
    )
    with tarfile.open(path, "w") as tar:
        texts = {"x.ovf": OVF.format(files=files, disks=sections)} | ({"x.mf": sums} if sums else {})
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.uname = len(text), 64, "someone"
            tar.addfile(info, io.BytesIO(text.encode()))
        for disk in disks:
            tar.add(disk, disk.name)
    return path


@needs_qemu_img
def test_an_ova_gives_its_disks_in_their_order(tmp_path: Path) -> None:
    disks = [image(tmp_path / "b.vmdk"), image(tmp_path / "a.vmdk", 5 * MIB)]
    path = ova(tmp_path / "machine.ova", disks)
    assert disk_at(path).format == "ova"
    machine = machine_with(tmp_path, None, None, MIB)
    sizes = disk_sizes(tmp_path, base_of(path, "ova"), machine)
    assert sizes == {"hdd0": 4 * MIB, "hdd1": 5 * MIB, "hdd2": MIB}
    assert sorted(os.listdir(tmp_path / "scratch")) == ["hdd0.qcow2", "hdd1.qcow2", "hdd2.qcow2"]


@needs_qemu_img
def test_an_ova_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    disk = image(tmp_path / "a.vmdk")
    scratch = tmp_path / "scratch"
    wrong = f"SHA256(a.vmdk)= {'0' * 64}\n"
    two = [disk, image(tmp_path / "b.vmdk")]
    for made, message in (
        (ova(tmp_path / "1.ova", [disk], sums=wrong), "a.vmdk is not what the OVA's manifest says of it"),
        (ova(tmp_path / "2.ova", two), "has 2 disks, and lab has 1; add a section"),
        (ova(tmp_path / "3.ova", []), "has no disk that a machine could start from"),
    ):
        scratch.mkdir()
        with pytest.raises(BuildError, match=message):
            imported_disks(base_of(made, "ova"), machine_with(tmp_path, None), scratch)
        shutil.rmtree(scratch)


def test_its_disks_hang_on_what_today_s_systems_know(tmp_path: Path) -> None:
    (drive,) = machine_with(tmp_path, None).drives
    assert (drive.bus, drive.controller) == ("scsi", "virtio")
