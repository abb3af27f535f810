"""The machine as Proxmox VE describes it, and the archive that holds it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.kvm.pve import config, places
from vmgen_build.backends.registry import backend_named, format_of
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, Event, Note
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MB = 1 << 20
MAPPED = re.compile(r"^#qmdump#map:(\S+):(\S+):(\S*):(\S*):$", re.MULTILINE)
"""By which PVE::QemuServer finds an archive's disks."""

FULL = """num_cpu = 2
ram = 512
firmware = efi
[[hdds]]
[[[a]]]
[[[b]]]
size = 1G
type = sata
[[[c]]]
size = 1G
type = nvme
[[[d]]]
size = 1G
pos = 0:4
[[cds]]
[[[cd0]]]
image = x.iso
[[[cd1]]]
image =
[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:12:34:5a
type = bridged
bridge = vmbr7
adapter = vmxnet3
[[[eth1]]]
hw_addr = 00:16:3e:12:34:5b
type = hostonly
[[[eth2]]]
hw_addr = 00:16:3e:12:34:5c
connected = no
adapter = pcnet32
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Machine]:
    def made(text: str = "", os: str = "debian-12", name: str = "lab") -> Machine:
        (tmp_path / "x.iso").touch()
        (tmp_path / "r.ini").write_text(f"[hardware]\nvm_id = {name}\nos = {os}\n{text}")
        return machine_of(load(tmp_path / "r.ini"))

    return made


def values(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_all_that_a_recipe_says(make: Callable[..., Machine]) -> None:
    text = config(make(FULL), [MB, 2 * MB, 3 * MB, 4 * MB])
    found = values(text)
    assert (found["cores"], found["memory"], found["bios"], found["machine"]) == ("2", "512", "ovmf", "q35")
    assert (found["name"], found["ostype"], found["agent"], found["boot"]) == ("lab", "l26", "1", "order=scsi0")
    assert [found[name].partition("size=")[2] for name in ("scsi0", "sata0", "virtio0", "scsi1")] == [
        *("1024K", "2048K", "3072K", "4096K")
    ]
    assert (found["ide2"], found["ide3"]) == ("none,media=cdrom", "none,media=cdrom")
    assert found["net0"] == "virtio=00:16:3E:12:34:5A,bridge=vmbr7"
    assert found["net1"] == "e1000=00:16:3E:12:34:5B,bridge=vmbr0,link_down=1"
    assert found["net2"] == "pcnet=00:16:3E:12:34:5C,bridge=vmbr0,link_down=1"
    assert MAPPED.findall(text) == [(name, f"drive-{name}", "", "") for name in ("scsi0", "sata0", "virtio0", "scsi1")]


def test_an_ide_disk_takes_the_older_chipset_and_its_own_place(make: Callable[..., Machine]) -> None:
    machine = make("[[hdds]]\n[[[a]]]\nsize = 1G\ntype = ide\npos = 1:0\n[[cds]]\n[[[cd0]]]\nimage =\n")
    found = values(config(machine, [MB]))
    assert "machine" not in found and "bios" not in found
    assert found["boot"] == "order=ide2" and found["ide2"].startswith("local:")
    assert [name for name in found if found[name] == "none,media=cdrom"] == ["ide3"]


@pytest.mark.parametrize(
    ("os", "kind"),
    [("winxp", "wxp"), ("winsrv2003", "w2k3"), ("win7", "win7"), ("win10", "win10"), ("win11", "win11")],
)
def test_windows_is_called_by_its_version(make: Callable[..., Machine], os: str, kind: str) -> None:
    machine = make(os=os)
    assert values(config(machine, [MB] * len(machine.drives)))["ostype"] == kind


@pytest.mark.parametrize(("name", "shown"), [("a_b.c", "a-b.c"), ("Lab-2", "Lab-2")])
def test_a_name_is_one_of_a_host(make: Callable[..., Machine], name: str, shown: str) -> None:
    assert values(config(make(name=name), [MB]))["name"] == shown


def test_more_disks_than_there_is_room_for(make: Callable[..., Machine]) -> None:
    disks = "".join(f"[[[d{number}]]]\nsize = 1G\ntype = sata\n" for number in range(7))
    with pytest.raises(BuildError, match="room for 6 disks on sata"):
        places(make(f"[[hdds]]\n{disks}"))


def test_the_archive_is_one_that_proxmox_takes_by_its_name(tmp_path: Path) -> None:
    """PVE::Storage::archive_info. The CD's image is not in it, and a note says so."""
    (tmp_path / "x.iso").write_bytes(b"a CD")
    (tmp_path / "r.ini").write_text(
        "[hardware]\nvm_id = lab\nos = debian-12\n[[hdds]]\n[[[a]]]\n[[cds]]\n[[[c]]]\nimage = x.iso\n"
    )
    recipe, backend = load(tmp_path / "r.ini"), backend_named("kvm")
    plan = make_plan(recipe, "kvm", backend.part(recipe, None))
    seen: list[Event] = []
    bus = Bus()
    bus.add(seen.append)
    for number, compression in enumerate(("zstd:3", "xz", "none")):
        (tmp_path / "a.raw").write_bytes(b"x" * MB)
        options = PackOptions(compression, "vma")
        (made,) = format_of(backend, "vma").pack(plan, Disks((Disk("a", tmp_path / "a.raw"),)), tmp_path, options, bus)
        assert re.fullmatch(r"vzdump-(lxc|openvz|qemu)-.+\.vma(\.(gz|lzo|zst))?", made.path.name)
        assert made.path.name == f"vzdump-qemu-lab-amd64.vma{'' if number == 2 else '.zst'}"
    assert b"agent: 1\n" in made.path.read_bytes()
    subprocess.run(["zstd", "-q", "-t", tmp_path / "vzdump-qemu-lab-amd64.vma.zst"], check=True)
    assert any("put x.iso on a storage" in note.text for note in seen if isinstance(note, Note))
