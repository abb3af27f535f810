"""Disks that are damaged, of many parts, or of odd names: what is read of them, and what is said of the rest."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts import diskcontents
from vmgen_build.artifacts.contents import RootContent
from vmgen_build.artifacts.deadline import Deadline
from vmgen_build.artifacts.disk import convert, extfiles
from vmgen_build.artifacts.disk.convert import opened, readable
from vmgen_build.artifacts.disk.volumes import ALL_USAGES, Mount, disk_mounts, file_systems
from vmgen_build.artifacts.diskcontents import read_on_disks
from vmgen_build.artifacts.kinds import Kind, kind_of
from vmgen_build.artifacts.rawdisks import raw_disks, unpacked
from vmgen_build.errors import BuildError
from vmgen_build.host.confined import lent

MIB = 1 << 20


def ran(*words: object) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def read(path: Path) -> RootContent:
    kind = kind_of(path)
    assert kind is not None
    return read_on_disks(path, kind)


def a_root(folder: Path, fstab: str = "") -> Path:
    for name in ("etc", "usr"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/fstab").write_text(fstab)
    return folder


def ext(goal: Path, folder: Path) -> Path:
    ran("mke2fs", "-q", "-t", "ext2", "-b", "1024", "-d", folder, goal, "1M")
    return goal


def parted(disk: Path, parts: Sequence[Path]) -> Path:
    """Partitions of 1 MiB each."""
    with disk.open("wb") as file:
        for number, part in enumerate(parts, 1):
            file.seek(number * MIB)
            file.write(part.read_bytes())
        file.truncate((len(parts) + 2) * MIB)
    script = "label: dos\n" + "".join(f"start={number * 2048}, size=2048\n" for number in range(1, len(parts) + 1))
    subprocess.run(["sfdisk", "-q", disk], input=script, text=True, check=True)
    return disk


FSTAB = """\
/dev/vda1 / ext4 defaults 0 1
/dev/vda2 /home ext4 defaults
/dev/mapper/vg-var /var ext4
PARTLABEL=srv /srv xfs
UUID=99 /my\\040data ext4
UUID="98" /by-hand ext4 noauto
UUID=97 none swap sw
# UUID=96 /old ext4
tmpfs /tmp tmpfs
proc /proc proc
server:/x /net nfs
//server/x /share cifs
/dev/sr0 /cdrom iso9660
/srv /view none bind
pool/data /pool zfs
"""


def test_all_that_an_fstab_mounts_of_disks() -> None:
    assert disk_mounts(FSTAB) == [
        Mount("UUID=98", "/by-hand", True),
        Mount("/dev/vda2", "/home", False),
        Mount("UUID=99", "/my data", False),
        Mount("pool/data", "/pool", False),
        Mount("PARTLABEL=srv", "/srv", False),
        Mount("/dev/mapper/vg-var", "/var", False),
    ]


def test_what_no_disk_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = ext(tmp_path / "disk.raw", a_root(tmp_path / "root", FSTAB))
    assert read(disk).unread == (
        "/home (/dev/vda2)",
        "/my data (UUID=99)",
        "/pool (pool/data)",
        "/srv (PARTLABEL=srv)",
        "/var (/dev/mapper/vg-var)",
    )
    monkeypatch.setattr(diskcontents, "FINDINGS", replace(diskcontents.FINDINGS, amount=1))
    assert read(disk).unread == ("/home (/dev/vda2)", "4 more")


def test_a_damaged_file_system_does_not_hide_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = ext(tmp_path / "root.ext", a_root(tmp_path / "root")), tmp_path / "other.ext"
    ran("mke2fs", "-q", "-t", "ext2", "-b", "1024", other, "1M")
    data = bytearray(other.read_bytes())
    data[2048:4096] = b"\xff" * 2048
    other.write_bytes(data)
    found = read(parted(tmp_path / "disk.raw", [other, root]))
    assert "etc/fstab" in found.files and len(found.unread) == 1
    assert found.unread[0].startswith(f"ext2 at byte {MIB} (")
    with pytest.raises(BuildError, match=f"holds ext2 at byte {MIB} "):
        read(parted(tmp_path / "bad.raw", [other]))
    mounting = a_root(tmp_path / "mounting", "LABEL=other /../x ext2\n")
    ran("tune2fs", "-L", "other", root)
    found = read(parted(tmp_path / "out.raw", [ext(tmp_path / "mounting.ext", mounting), root]))
    assert found.unread == ("/../x (its folder leads out of the root)",)
    monkeypatch.setattr(diskcontents, "VOLUMES", replace(diskcontents.VOLUMES, amount=1))
    with pytest.raises(BuildError, match="limit 'volumes'"):
        read(tmp_path / "disk.raw")


def test_names_that_are_no_text_and_names_of_layers_stay_apart(tmp_path: Path) -> None:
    root = a_root(tmp_path / "root")
    for name in (b"\xff\xfe", b"\xfe\xff", b".wh.fstab", b".wh..wh..opq"):
        (root / "etc" / os.fsdecode(name)).touch()
    ran("mksquashfs", root, tmp_path / "t.squashfs", "-quiet", "-no-progress")
    wanted = {"etc/fstab", "etc/\\xff\\xfe", "etc/\\xfe\\xff", "etc/.wh.fstab", "etc/.wh..wh..opq"}
    for image in (ext(tmp_path / "disk.raw", root), tmp_path / "t.squashfs"):
        assert wanted <= read(image).files.keys()


def test_a_compressed_squashfs_and_a_compressed_live_image(tmp_path: Path) -> None:
    image = tmp_path / "tree/live.squashfs"
    image.parent.mkdir()
    ran("mksquashfs", a_root(tmp_path / "root"), image, "-quiet", "-no-progress")
    ran("xorrisofs", "-quiet", "-o", tmp_path / "live.iso", image.parent)
    plain = read(image)
    for name, kind in ((image, "squashfs"), (tmp_path / "live.iso", "iso")):
        ran("zstd", "-q", name, "-o", tmp_path / "packed")
        assert kind_of(tmp_path / "packed") == Kind(kind, "zstd")
        assert read(tmp_path / "packed") == plain
        (tmp_path / "packed").unlink()


def test_a_folder_has_no_more_entries_than_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = ext(tmp_path / "disk.raw", a_root(tmp_path / "root"))
    monkeypatch.setattr(extfiles, "LISTED_FILES", replace(extfiles.LISTED_FILES, amount=2))
    refused, now = pytest.raises(ValueError, match="limit 'listed-files'"), Deadline.from_now()
    with image.open("rb") as raw, lent(raw.fileno()), refused, extfiles.ext_files(raw, 0, now) as files:
        files.has_at_top(("etc",))


def test_one_deadline_holds_for_all_that_is_done(tmp_path: Path) -> None:
    image, over = ext(tmp_path / "disk.raw", a_root(tmp_path / "root")), Deadline(0)
    late = pytest.raises(ValueError, match="limit 'unpack-time'")
    with image.open("rb") as raw, lent(raw.fileno()), late, extfiles.ext_files(raw, 0, over):
        pass
    with late, unpacked(image, tmp_path, over):
        pass
    ran("tar", "-C", tmp_path, "-cf", tmp_path / "some.tar", image.name)
    with late, raw_disks(tmp_path / "some.tar", Kind("tar"), tmp_path, over):
        pass


def test_only_who_reads_all_volumes_looks_for_those_that_hold_others(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"LUKS\xba\xbe\x00\x01" + bytes(MIB))
    with raw.open("rb") as file, lent(file.fileno()):
        assert file_systems(file) == ()
        assert [one.type for one in file_systems(file, ALL_USAGES)] == ["crypto_LUKS"]


def test_what_is_wrong_elsewhere_is_not_blamed_on_the_image(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    with pytest.raises(OSError, match="No space left"), opened(tmp_path / "image"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(BuildError, match=r"cannot read .*; check the file"), opened(place):
            pass


def test_a_private_copy_leaves_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(what: str, folder: Path) -> None:
        raise BuildError(f"{what}: too little is free in {folder}")

    monkeypatch.setattr(convert, "user", lambda: os.geteuid())
    monkeypatch.setattr(convert, "check_reserve", refuse)
    image = tmp_path / "image"
    image.write_bytes(b"x")
    image.chmod(0o600)
    with opened(image) as source, pytest.raises(BuildError, match="too little"), readable(source, tmp_path):
        pass
