"""Disks of all kinds of file systems, made from a root and read back by other programs than those that made them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk import image as images
from vmgen_build.artifacts.disk.image import RawDisk, write_disks
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.host import syscalls as sc
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

EPOCH = 1_700_000_000
MIB = 1 << 20

HEAD = "[hardware]\nvm_id = lab\nos = debian-12\n"

HDDS = """\
[[hdds]]
[[[hdd0]]]
size = 3G
[[[[partitions]]]]
[[[[[boot]]]]]
fs = ext2
size = 64M
mount = /boot
[[[[[root]]]]]
size = 300M
mount = /
label = system
[[[[[more]]]]]
type = extended
[[[[[swap]]]]]
type = logical
fs = swap
size = 64M
label = pages
[[[[[home]]]]]
type = logical
fs = ext3
size = 100M
mount = /home/
[[[[[work]]]]]
type = logical
fs = btrfs
mount = /srv/work
label = work
[[[hdd1]]]
size = 1G
[[[[partitions]]]]
[[[[[xfs]]]]]
fs = xfs
size = 300M
mount = /srv/xfs
label = stream
[[[[[fat]]]]]
fs = vfat
size = 50M
mount = /srv/fat
label = STICK
[[[[[ntfs]]]]]
fs = ntfs
size = 20M
label = shared
"""


def ran(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def machine(folder: Path, hdds: str, firmware: str = "bios") -> Machine:
    path = folder / "r.ini"
    path.write_text(f"{HEAD}firmware = {firmware}\n{hdds}")
    return machine_of(load(path))


def a_root(root: Path) -> Path:
    """All that a root file system can hold, and a boot loader that is not one."""
    for name in ("boot/grub/i386-pc", "boot/efi/EFI/BOOT", "dev", "proc", "run/lock", "home/ana", "srv/work/deep"):
        (root / name).mkdir(parents=True)
    for name in ("srv/xfs", "srv/fat/Long Folder Name", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "boot/grub/i386-pc/boot.img").write_bytes(b"\xeb\x63" + bytes(508) + b"\x55\xaa")
    (root / "boot/grub/i386-pc/core.img").write_bytes(b"core" * 10000)
    (root / "boot/efi/EFI/BOOT/BOOTX64.EFI").write_bytes(b"MZ" * 100_000)
    (root / "srv/fat/Long Folder Name/a file.txt").write_text("fat\n")
    (root / "run/lock/stray").write_text("x")
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    ping = root / "etc/ping"
    ping.write_bytes(b"p" * 5000)
    ping.chmod(0o4755)
    os.setxattr(ping, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(ping, "user.note", b"kept")
    os.link(ping, root / "etc/link")
    (root / "etc/symlink").symlink_to("/nowhere")
    os.mkfifo(root / "etc/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "etc/socket"))
    (root / "home/ana/notes").write_text("ana's\n")
    for name in ("home/ana", "home/ana/notes", "srv/work/deep"):
        os.chown(root / name, 1000, 1001)
    (root / "home").chmod(0o711)
    (root / "srv/work/deep/file").write_text("deep\n")
    for path in (root, *root.rglob("*")):
        os.utime(path, (EPOCH - 500, EPOCH - 1000), follow_symlinks=False)
    return root


def written(machine: Machine, root: Path, out: Path, before: Callable[[], object] = lambda: None) -> list[RawDisk]:
    out.mkdir(exist_ok=True)

    def work(_: object) -> list[RawDisk]:
        before()
        return list(write_disks(machine, root, out, epoch=EPOCH))

    return run_isolated(work, Bus())


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> list[RawDisk]:
    folder = tmp_path_factory.mktemp("disk")
    return written(machine(folder, HDDS), a_root(folder / "root"), folder / "out")


@pytest.fixture(scope="module")
def places(disks: list[RawDisk]) -> dict[str, tuple[Path, int, int]]:
    """Partition -> its disk's image, start and size."""
    return {p.volume.option: (disk.path, p.start, p.size) for disk in disks for p in disk.layout.placed}


def ext(places: dict[str, tuple[Path, int, int]], name: str, *commands: str) -> str:
    image, start, _ = places[name]
    return "\n".join(ran("debugfs", "-R", command, f"{image}?offset={start}") for command in commands)


def apart(places: dict[str, tuple[Path, int, int]], name: str, folder: Path) -> Path:
    image, start, size = places[name]
    ran(
        "dd",
        f"if={image}",
        f"of={folder / name}",
        "bs=1M",
        f"skip={start // MIB}",
        f"count={size // MIB}",
        "conv=sparse",
    )
    return folder / name


def test_tables_and_ids(disks: list[RawDisk], places: dict[str, tuple[Path, int, int]]) -> None:
    for disk in disks:
        assert "No errors detected" in ran("sfdisk", "--verify", disk.path)
        assert disk.path.stat().st_size == disk.size > 4 * disk.path.stat().st_blocks * 512
        for p in disk.layout.placed:
            if p.volume.fs is None:
                continue
            reported = ran("blkid", "-p", "-O", p.start, "-S", p.size, "-o", "export", disk.path)
            found = dict(line.split("=", 1) for line in reported.strip().split("\n"))
            assert (found["TYPE"], found["UUID"]) == (p.volume.fs, p.volume.uuid)
            assert found.get("LABEL") == p.volume.label
    assert [p.volume.number for p in disks[0].layout.placed] == [1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize("name", ["boot", "root", "home"])
def test_ext_file_systems_are_sound(places: dict[str, tuple[Path, int, int]], name: str) -> None:
    image, start, _ = places[name]
    ran("e2fsck", "-fn", f"{image}?offset={start}")


def test_owners_modes_and_attributes_arrive(places: dict[str, tuple[Path, int, int]], tmp_path: Path) -> None:
    ping = ext(places, "root", "stat /etc/ping", "ea_list /etc/ping")
    assert "Mode:  04755" in ping and "Links: 2" in ping and 'user.note (4) = "kept"' in ping
    assert "security.capability (20) = 01 00 00 02 00 20" in ping and "overlay" not in ping
    assert all(f"{kind}time: 0x{EPOCH - 1000:08x}" in ping for kind in "acm")
    assert "Type: FIFO" in ext(places, "root", "stat /etc/fifo")
    assert "Type: socket" in ext(places, "root", "stat /etc/socket")
    assert '"/nowhere"' in ext(places, "root", "stat /etc/symlink")
    notes = ext(places, "home", "stat /ana/notes", "cat /ana/notes", "stat <2>")
    assert re.search(r"User: +1000 +Group: +1001", notes) and "ana's" in notes and "Mode:  0711" in notes


def test_each_volume_holds_its_own_part(places: dict[str, tuple[Path, int, int]]) -> None:
    def names(volume: str, folder: str) -> set[str]:
        listed = ext(places, volume, f"ls -p {folder}").split("\n")
        return {line.split("/")[5] for line in listed if line.startswith("/")} - {".", "..", "lost+found"}

    assert names("root", "/") == {"boot", "dev", "proc", "run", "home", "srv", "etc", "tmp"}
    assert names("boot", "/") == {"grub", "efi"}
    for folder in ("/boot", "/dev", "/run", "/home", "/srv/work", "/srv/xfs", "/srv/fat"):
        assert names("root", folder) == set()
    home, tmp = ext(places, "root", "stat /home"), ext(places, "root", "stat /tmp")
    assert "Mode:  0711" in home and f"mtime: 0x{EPOCH - 1000:08x}" in home
    assert "Mode:  01777" in tmp


def test_the_others_are_sound(places: dict[str, tuple[Path, int, int]], tmp_path: Path) -> None:
    btrfs, xfs = apart(places, "work", tmp_path), apart(places, "xfs", tmp_path)
    ran("btrfs", "check", "--readonly", btrfs)
    ran("xfs_repair", "-n", "-f", xfs)
    ran("ntfsfix", "--no-action", apart(places, "ntfs", tmp_path))
    image, start, _ = places["fat"]
    fat = apart(places, "fat", tmp_path)
    ran("fsck.fat", "-n", fat)
    assert ran("mtype", "-i", f"{image}@@{start}", "::/Long Folder Name/a file.txt") == "fat\n"
    assert "2023-11-14" in ran("mdir", "-i", f"{image}@@{start}", "::/Long Folder Name")


def test_btrfs_holds_its_content(places: dict[str, tuple[Path, int, int]], tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    restored.mkdir()
    ran("btrfs", "restore", "--metadata", apart(places, "work", tmp_path), restored)
    file = restored / "deep/file"
    assert file.read_text() == "deep\n"
    assert (restored / "deep").stat().st_uid == 1000


def test_a_root_on_btrfs_is_sound(tmp_path: Path) -> None:
    """Each of the folders that stay out of it is one of its own."""
    hdds = "[[hdds]]\n[[[hdd0]]]\nsize = 400M\n[[[[partitions]]]]\n[[[[[root]]]]]\nfs = btrfs\nmount = /\n"
    root = a_root(tmp_path / "root")
    (root / "sys").mkdir()
    (root / "proc").chmod(0o750)
    [disk] = written(machine(tmp_path, hdds), root, tmp_path / "out")
    [place] = disk.layout.placed
    alone = apart({"alone": (disk.path, place.start, place.size)}, "alone", tmp_path)
    ran("btrfs", "check", "--readonly", alone)
    restored = tmp_path / "restored"
    restored.mkdir()
    ran("btrfs", "restore", "--metadata", alone, restored)
    modes = {name: stat.S_IMODE((restored / name).stat().st_mode) for name in ("proc", "tmp", "home")}
    assert modes == {"proc": 0o750, "tmp": 0o1777, "home": 0o711}
    assert all(not list((restored / name).iterdir()) for name in ("dev", "proc", "run", "sys"))


def test_the_boot_loader_stands_before_the_first_partition(disks: list[RawDisk]) -> None:
    with disks[0].path.open("rb") as file:
        head = file.read(MIB)
    assert head[:2] == b"\xeb\x63" and head[510:512] == b"\x55\xaa"
    assert head[512:516] == b"core" and not any(head[512 + 40000 :])
    with disks[1].path.open("rb") as file:
        assert not any(file.read(440))


def test_an_efi_machine(tmp_path: Path) -> None:
    (disk,) = written(machine(tmp_path, "", "efi"), a_root(tmp_path / "root"), tmp_path / "out")
    esp, root = disk.layout.placed
    place = f"{disk.path}@@{esp.start}"
    ran("mcopy", "-i", place, "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "loader")
    assert (tmp_path / "loader").read_bytes() == b"MZ" * 100_000
    assert ran("blkid", "-p", "-O", esp.start, "-S", esp.size, "-o", "value", "-s", "VERSION", disk.path) == "FAT32\n"
    parts = json.loads(ran("sfdisk", "-J", disk.path))["partitiontable"]
    assert parts["label"] == "gpt" and parts["partitions"][0]["type"].startswith("C12A7328")
    assert "No errors detected" in ran("sfdisk", "--verify", disk.path)
    ran("e2fsck", "-fn", f"{disk.path}?offset={root.start}")
    assert root.size >= 512 * MIB


REPEATED = (
    HDDS.split("[[[[[work]]]]]")[0] + "[[[hdd1]]]\n[[[[partitions]]]]\n[[[[[fat]]]]]\nfs = vfat\nmount = /srv/fat\n"
)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """From two copies, whose change and access times and order in their folders differ."""
    one = machine(tmp_path, REPEATED)
    first = written(one, a_root(tmp_path / "root"), tmp_path / "first")
    time.sleep(1.1)
    ran("cp", "-a", tmp_path / "root", tmp_path / "copy")
    second = written(one, tmp_path / "copy", tmp_path / "second")
    for a, b in zip(first, second, strict=True):
        ran("cmp", a.path, b.path)


def test_what_does_not_fit_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")
    (root / "home/large").write_bytes(os.urandom(30 * MIB))
    text = HDDS.replace("size = 100M\nmount = /home/", "size = 20M\nmount = /home/")
    with pytest.raises(BuildError) as caught:
        written(machine(tmp_path, text), root, tmp_path / "out")
    assert str(caught.value) == (
        "what lies on /home does not fit: 31 MB in 4 files and folders, and partition 'home' of disk 'hdd0' has 21 MB;"
        " make it at least 67M"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_what_just_does_not_fit_is_reported_too(tmp_path: Path) -> None:
    """Smaller than its partition, and larger than what the file system leaves of it."""
    root = a_root(tmp_path / "root")
    (root / "home/large").write_bytes(os.urandom(18 * MIB))
    text = HDDS.replace("size = 100M\nmount = /home/", "size = 20M\nmount = /home/")
    with pytest.raises(BuildError, match=r"what lies on /home does not fit: 19 MB .* make it at least 53M"):
        written(machine(tmp_path, text), root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "srv/xfs/file",
            "/srv/xfs holds 1 files and folders, and partition 'xfs' of disk 'hdd1' is xfs, which can only",
        ),
        ("srv/fat/pipe", "/srv/fat/pipe is neither file nor folder, and vfat can hold no other"),
    ],
)
def test_what_a_file_system_cannot_hold_is_refused(tmp_path: Path, path: str, message: str) -> None:
    root = a_root(tmp_path / "root")
    os.mkfifo(root / path)
    with pytest.raises(BuildError, match=message):
        written(machine(tmp_path, HDDS), root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_mount_point_behind_a_link_is_refused(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")
    shutil.rmtree(root / "srv/xfs")
    (root / "srv/xfs").symlink_to("/etc")
    with pytest.raises(BuildError, match="/srv/xfs is a symbolic link in the image"):
        written(machine(tmp_path, HDDS), root, tmp_path / "out")


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once by what is foreseen, once while the file systems are made."""
    root, out = a_root(tmp_path / "root"), tmp_path / "out"
    (root / "etc/large").write_bytes(os.urandom(100 * MIB))
    seen = tmp_path / "seen"

    def small() -> None:
        sc.mount("tmpfs", out, "tmpfs", options="size=64m")

    with pytest.raises(HostError, match=r"is full: 67 MB are free, and the disk images need about \d+ MB; make room"):
        written(machine(tmp_path, HDDS), root, out, small)
    monkeypatch.setattr(images, "METADATA", -200 * MIB)

    def work(_: object) -> None:
        small()
        try:
            write_disks(machine(tmp_path, HDDS), root, out, epoch=EPOCH)
        finally:
            seen.write_text(" ".join(path.name for path in out.iterdir()))

    with pytest.raises(HostError, match=r"is full: .* are free; make room there"):
        run_isolated(work, Bus())
    assert seen.read_text() == ""
    assert not re.search(rf" {re.escape(str(tmp_path))}", Path("/proc/mounts").read_text())
