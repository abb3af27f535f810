"""A guest that comes home as disks: real images to artifacts, without any tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.ova import check_ova
from vmgen_build.artifacts.result import Disk, Disks, Tree
from vmgen_build.artifacts.vmdk import check_vmdk
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.registry import backend_named, format_of
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, Event, StepProgress
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MIB = 1 << 20
TWO = "[[hdds]]\n[[[first]]]\nname = system.vmdk\n[[[second]]]\nsize = 1G\ntype = {}\n"

Make = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path) -> Make:
    def make(backend: str, hardware: str = TWO.format("ide")) -> Plan:
        path = tmp_path / "r.ini"
        path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-amd64\n{hardware}")
        recipe = load(path)
        return make_plan(recipe, backend, backend_named(backend).part(recipe, None))

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def image(path: Path, size: int, form: str = "raw") -> Path:
    """A disk with something at its start, in its middle and at its end."""
    raw = path.with_name(f"{path.name}.made")
    with raw.open("wb") as file:
        file.truncate(size)
        for at in (0, size // 2, size - 4096):
            file.seek(at)
            file.write(os.urandom(4096))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, path], check=True)
    return path


def home(folder: Path, *forms: str, names: tuple[str, ...] = ("first", "second")) -> tuple[Disks, list[str]]:
    """The disks, and the sha256 of the content of each."""
    (folder / "home").mkdir()
    disks = tuple(
        Disk(name, image(folder / "home" / f"{name}.img", (8 + 4 * n) * MIB, form), form)
        for n, (name, form) in enumerate(zip(names, forms, strict=True))
    )
    return Disks(disks), [sha256_of(disk.path.with_name(f"{disk.path.name}.made")) for disk in disks]


def pack(plan: Plan, disks: Disks, out: Path, form: str, bus: Bus | None = None) -> tuple[Written, ...]:
    options = PackOptions("zstd", form)
    return format_of(backend_named(plan.backend), form).pack(plan, disks, out, options, bus or Bus())


def content_of(path: Path, form: str) -> str:
    raw = path.with_name(f"{path.name}.raw")
    subprocess.run(["qemu-img", "convert", "-f", form, "-O", "raw", path, raw], check=True)
    return sha256_of(raw)


@pytest.mark.parametrize("forms", [("raw", "raw"), ("qcow2", "vmdk")])
def test_disks_become_a_sound_ova(plan: Make, tmp_path: Path, out: Path, forms: tuple[str, str]) -> None:
    disks, sums = home(tmp_path, *forms)
    events: list[Event] = []
    (ova,) = pack(plan("vmware"), disks, out, "ova", Bus(events.append))
    (tmp_path / "raws").mkdir()
    content = check_ova(ova.path, folder=tmp_path / "raws")
    assert content.findings == ()
    assert {name: (info.capacity, info.adapter) for name, info in content.disks.items()} == {
        "system.vmdk": (8 * MIB, "lsilogic"),
        "lab-second.vmdk": (12 * MIB, "ide"),
    }
    assert [sha256_of(content.raws[name]) for name in ("system.vmdk", "lab-second.vmdk")] == sums
    assert (ova.size, ova.sha256) == (ova.path.stat().st_size, sha256_of(ova.path))
    assert any(isinstance(event, StepProgress) and event.done for event in events)


@pytest.mark.parametrize("forms", [("raw", "raw"), ("vmdk", "qcow2")])
def test_disks_become_qcow2_for_kvm(plan: Make, tmp_path: Path, out: Path, forms: tuple[str, str]) -> None:
    disks, sums = home(tmp_path, *forms)
    first, second, domain = pack(plan("kvm"), disks, out, "qcow2")
    assert [file.path.name for file in (first, second, domain)] == [
        "lab-kvm-amd64.qcow2",
        "lab-kvm-amd64-second.qcow2",
        "lab-kvm-amd64.xml",
    ]
    assert [content_of(file.path, "qcow2") for file in (first, second)] == sums
    assert first.sha256 == sha256_of(first.path)


def test_the_disks_are_used_up(plan: Make, tmp_path: Path, out: Path) -> None:
    disks, _ = home(tmp_path, "qcow2", "raw")
    pack(plan("vmware"), disks, out, "ova")
    assert [disk.path.exists() for disk in disks.disks] == [False, False]


@pytest.mark.parametrize(("bus", "adapter"), [("ide", "ide"), ("sata", "lsilogic")])
def test_a_vmdk_alone_has_its_drive_s_adapter(plan: Make, tmp_path: Path, out: Path, bus: str, adapter: str) -> None:
    disks, sums = home(tmp_path, "raw", "raw")
    first, second = pack(plan("vmware", TWO.format(bus)), disks, out, "vmdk")
    assert check_vmdk(first.path).adapter == "lsilogic"
    assert check_vmdk(second.path).adapter == adapter
    assert [content_of(file.path, "vmdk") for file in (first, second)] == sums


@pytest.mark.parametrize("names", [("first",), ("second", "first"), ("first", "second", "third"), ("first", "other")])
@pytest.mark.parametrize(("backend", "form"), [("vmware", "ova"), ("kvm", "qcow2")])
def test_disks_of_another_machine_are_refused(
    plan: Make, tmp_path: Path, out: Path, names: tuple[str, ...], backend: str, form: str
) -> None:
    disks, _ = home(tmp_path, *["raw"] * len(names), names=names)
    with pytest.raises(BuildError) as caught:
        pack(plan(backend), disks, out, form)
    assert f"came home with the disks {', '.join(names)}, and lab has first, second, in this order" in str(caught.value)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("backend", "what"), [("lxc", "an lxc image"), ("openvz", "an OS template for OpenVZ")])
def test_containers_are_not_made_of_disks(plan: Make, tmp_path: Path, out: Path, backend: str, what: str) -> None:
    disks, _ = home(tmp_path, "raw", names=("hdd0",))
    with pytest.raises(BuildError, match=f"^{what} is made of a root file system, .* choose vmware or kvm$"):
        pack(plan(backend, ""), disks, out, "tar")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("form", ["qcow2", "vmdk"])
def test_an_image_that_leads_to_files_of_this_host_is_not_read(
    plan: Make, tmp_path: Path, out: Path, form: str
) -> None:
    disks, _ = home(tmp_path, form, "raw")
    secret, foreign = image(tmp_path / "secret", 8 * MIB), disks.disks[0].path
    foreign.unlink()
    if form == "qcow2":
        subprocess.run(["qemu-img", "create", "-q", "-f", form, "-F", "raw", "-b", secret, foreign], check=True)
    else:
        head = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        foreign.write_text(f'{head}RW {8 * MIB // 512} FLAT "{secret}" 0\n')
    with pytest.raises(BuildError, match=r"is not read: it .*leads? to (another|other) file"):
        pack(plan("kvm"), disks, out, "qcow2")
    assert list(out.iterdir()) == []


def test_a_damaged_image_is_named(plan: Make, tmp_path: Path, out: Path) -> None:
    disks, _ = home(tmp_path, "qcow2", "raw")
    disks.disks[0].path.write_bytes(b"no image" * 1000)
    with pytest.raises(BuildError, match=r"first\.img is not read: it is no qcow2 image"):
        pack(plan("vmware"), disks, out, "ova")


def test_scratch_space_is_beside_what_came_home(tmp_path: Path) -> None:
    disks, _ = home(tmp_path, "raw", "raw")
    assert disks.scratch == tmp_path / "home"
    assert Tree(tmp_path / "x/root").scratch == tmp_path / "x"
