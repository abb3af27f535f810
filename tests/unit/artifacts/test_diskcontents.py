"""Roots on disks of others, made by mke2fs, sfdisk, qemu-img and mksquashfs, read as they lie; and disks that lie."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts import contents, deadline, diskcontents, rawdisks
from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.contents import RootContent
from vmgen_build.artifacts.diskcontents import read_on_disks
from vmgen_build.artifacts.kinds import kind_of
from vmgen_build.artifacts.vma.format import VmaContent, VmaDisk
from vmgen_build.artifacts.vma.write import write_vma
from vmgen_build.errors import BuildError, HostError

MIB = 1 << 20
START = MIB
STATUS = b"Package: vim\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n"
FSTAB = "UUID=11111111-1111-1111-1111-111111111111 / ext4 x\nLABEL=boot /boot ext2 x\nLABEL=DATA /srv/fat vfat x\n"


def ran(*words: object) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def read(path: Path, *, digests: bool = False) -> RootContent:
    kind = kind_of(path)
    assert kind is not None
    return read_on_disks(path, kind, digests=digests)


def a_root(folder: Path) -> Path:
    for name in ("etc", "usr/bin", "var/lib/dpkg", "boot"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (folder / "etc/fstab").write_text(FSTAB)
    (folder / "var/lib/dpkg/status").write_bytes(STATUS)
    (folder / "boot/hidden").write_text("below the mount\n")
    (folder / "usr/bin/tool").write_bytes(os.urandom(3 * MIB // 2))
    (folder / "usr/bin/tool").chmod(0o4755)
    os.link(folder / "usr/bin/tool", folder / "usr/bin/same")
    with (folder / "holes").open("wb") as file:
        file.truncate(MIB)
    (folder / "line\nend").write_text("odd\n")
    (folder / "short").symlink_to("usr/bin")
    (folder / "long").symlink_to("x" * 200)
    os.mkfifo(folder / "pipe")
    return folder


def partitioned(disk: Path, root: Path, boot: Path) -> Path:
    with disk.open("wb") as file:
        file.truncate(14 * MIB)
    script = f"label: gpt\nstart={START // 512}, size=8M\nstart={9 * MIB // 512}, size=2M\n"
    script += f"start={11 * MIB // 512}, size=2M\n"
    subprocess.run(["sfdisk", "-q", disk], input=script, text=True, check=True)
    ident = "11111111-1111-1111-1111-111111111111"
    ran("mke2fs", "-q", "-t", "ext4", "-U", ident, "-d", root, "-E", f"offset={START}", disk, "8M")
    ran("mke2fs", "-q", "-t", "ext2", "-L", "boot", "-d", boot, "-E", f"offset={9 * MIB}", disk, "2M")
    fat = disk.with_suffix(".fat")
    ran("mkfs.vfat", "-C", "-n", "DATA", fat, 2048)
    with disk.open("r+b") as file:
        file.seek(11 * MIB)
        file.write(fat.read_bytes())
    return disk


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_root(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture(scope="module")
def disk(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    (folder / "boot").mkdir()
    (folder / "boot/vmlinuz").write_text("kernel\n")
    return partitioned(folder / "disk.raw", root, folder / "boot")


def test_each_file_with_all_that_its_inode_says(root: Path, disk: Path) -> None:
    found = read(disk, digests=True)
    files = found.files
    tool = files["usr/bin/tool"]
    assert (tool.kind, tool.mode, tool.size) == ("file", 0o4755, 3 * MIB // 2) and files["usr/bin/same"] == tool
    for name in ("usr/bin/tool", "holes", "line\nend", "var/lib/dpkg/status"):
        assert files[name].sha256 == hashlib.sha256((root / name).read_bytes()).hexdigest(), name
    assert (files["short"].kind, files["short"].target) == ("link", "usr/bin")
    assert files["long"].target == "x" * 200 and files["pipe"].kind == "fifo"
    status = (root / "etc/passwd").stat()
    assert (files["etc/passwd"].uid, files["etc/passwd"].gid) == (status.st_uid, status.st_gid)
    assert found.texts["var/lib/dpkg/status"] == STATUS
    for path in root.rglob("*"):
        assert path.relative_to(root).as_posix() in files or path.parent.name == "boot", path


def test_what_fstab_mounts_lies_where_it_says(disk: Path) -> None:
    found = read(disk)
    assert "boot/vmlinuz" in found.files and "boot/hidden" not in found.files
    assert found.unread == ("/srv/fat (vfat)",)


def to(driver: str, *options: str) -> Callable[[Path, Path], None]:
    return lambda disk, goal: ran("qemu-img", "convert", "-O", driver, *options, disk, goal)


def as_ova(disk: Path, goal: Path) -> None:
    vmdk = goal.with_name("disk.vmdk")
    to("vmdk", "-o", "subformat=streamOptimized")(disk, vmdk)
    vmdk.with_name("lab.ovf").write_text("<Envelope/>")
    ran("tar", "-C", goal.parent, "--format=ustar", "-cf", goal, "lab.ovf", vmdk.name)


def as_box(disk: Path, goal: Path) -> None:
    to("qcow2")(disk, goal.with_name("box.img"))
    goal.with_name("metadata.json").write_text("{}")
    ran("tar", "-C", goal.parent, "-czf", goal, "metadata.json", "box.img")


def as_vma(disk: Path, goal: Path) -> None:
    content = VmaContent("", [VmaDisk("drive-scsi0", disk.stat().st_size, disk)], bytes(range(16)), 1)
    write_vma(goal, content, Compression("zstd", 1))


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("qcow2", to("qcow2", "-c")),
        ("vmdk", to("vmdk")),
        ("vhdx", to("vhdx")),
        ("vhd", to("vpc")),
        ("vhd", to("vpc", "-o", "subformat=fixed")),
        ("raw", lambda disk, goal: ran("sh", "-c", 'zstd -q <"$1" >"$2"', "sh", disk, goal)),
        ("ova", as_ova),
        ("box", as_box),
        ("vma", as_vma),
    ],
)
def test_every_form_of_a_disk_holds_the_same(
    disk: Path, tmp_path: Path, kind: str, make: Callable[[Path, Path], None]
) -> None:
    image = tmp_path / "image"
    make(disk, image)
    image.chmod(0o600)
    found = kind_of(image)
    assert found is not None and found.name == kind
    assert read(image, digests=True) == read(disk, digests=True)


def test_a_squashfs_alone_and_in_a_live_image(root: Path, tmp_path: Path) -> None:
    image, iso = tmp_path / "tree/live/filesystem.squashfs", tmp_path / "live.iso"
    image.parent.mkdir(parents=True)
    ran("mksquashfs", root, image, "-quiet", "-no-progress")
    ran("xorrisofs", "-quiet", "-o", iso, tmp_path / "tree")
    alone, live = read(image, digests=True), read(iso, digests=True)
    assert alone == live and alone.files["boot/hidden"].size == 16
    assert alone.files["usr/bin/same"].sha256 == alone.files["usr/bin/tool"].sha256
    image.write_bytes(image.read_bytes()[:MIB])
    with pytest.raises(BuildError, match=r"sqfs2tar|cut off|ends within"):
        read(image, digests=True)


def test_a_root_over_two_disks(root: Path, tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz").write_text("kernel\n")
    ran("mke2fs", "-q", "-t", "ext4", "-d", root, tmp_path / "a.raw", "14M")
    ran("mke2fs", "-q", "-t", "ext3", "-L", "boot", "-d", tmp_path / "boot", tmp_path / "b.raw", "4M")
    for name in "ab":
        to("vmdk")(tmp_path / f"{name}.raw", tmp_path / f"{name}.vmdk")
    (tmp_path / "lab.ovf").write_text("<Envelope/>")
    ran("tar", "-C", tmp_path, "-cf", tmp_path / "lab.ova", "lab.ovf", "b.vmdk", "a.vmdk")
    files = read(tmp_path / "lab.ova").files
    assert "boot/vmlinuz" in files and "etc/passwd" in files


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda goal: ran("mkntfs", "-q", "-F", goal), "NTFS, of Windows"),
        (lambda goal: ran("mkfs.vfat", goal), "holds vfat"),
        (lambda goal: ran("mkswap", goal), "holds swap"),
        (lambda goal: ran("mke2fs", "-q", "-t", "ext4", goal), "holds ext4"),
        (lambda goal: None, "no file system"),
    ],
)
def test_what_is_there_instead_of_a_root(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(8 * MIB)
    make(raw)
    ran("qemu-img", "convert", "-O", "qcow2", raw, tmp_path / "disk.qcow2")
    with pytest.raises(BuildError, match=f"no root file system that is read here.*{message}"):
        read(tmp_path / "disk.qcow2")


def test_a_tar_without_a_disk(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("notes.txt"))
    with pytest.raises(BuildError, match="neither a root file system nor a disk"):
        read(tmp_path / "some.tar")


def test_what_leads_to_other_files_is_refused(disk: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(disk.read_bytes())
    backed, apart, flat = tmp_path / "backed", tmp_path / "apart", tmp_path / "flat.vmdk"
    ran("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, backed)
    ran(
        "qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on", apart, "24M"
    )
    ran("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=monolithicFlat", secret, flat)
    for image in (backed, apart, flat):
        with pytest.raises(BuildError, match="is not read"):
            read(image)
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        tar.add(backed, "disk.qcow2")
    with pytest.raises(BuildError, match="is not read: it leads to another file"):
        read(tmp_path / "in.tar")


@pytest.mark.parametrize("size", [600, 70_000, 200_000])
def test_a_truncated_disk(disk: Path, tmp_path: Path, size: int) -> None:
    image = tmp_path / "image"
    to("qcow2")(disk, image)
    image.write_bytes(image.read_bytes()[:size])
    with pytest.raises(BuildError):
        read(image, digests=True)


def patched(disk: Path, goal: Path, changes: Callable[[bytearray], None]) -> Path:
    data = bytearray(disk.read_bytes())
    changes(data)
    goal.write_bytes(data)
    return goal


def plain(tmp_path: Path, root: Path, *options: str) -> Path:
    """An ext2 file system without partitions, blocks of 1 KiB, whose checksums nobody keeps."""
    goal = tmp_path / "plain.raw"
    words = ["-t", "ext4", "-b", "1024", "-I", "128", "-O", "^metadata_csum,^has_journal,^extent,^64bit", *options]
    ran("mke2fs", "-q", *words, "-d", root, goal, "14M")
    return goal


def small_root(folder: Path) -> Path:
    for name in ("etc", "usr/one", "usr/two"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/large").write_bytes(b"x" * 5000)
    return folder


def place_of(image: Path, name: str) -> int:
    """Byte of the file's inode."""
    command = ["debugfs", "-R", f"imap {name}", image]
    text = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    block, offset = text.split("located at block ")[1].split(", offset ")
    return int(block) * 1024 + int(offset, 16)


def test_a_file_larger_than_its_blocks_or_beyond_the_disk(tmp_path: Path) -> None:
    image = plain(tmp_path, small_root(tmp_path / "root"))
    at = place_of(image, "/etc/large")

    def beyond(data: bytearray) -> None:
        struct.pack_into("<I", data, at + 40, 0x7FFFFFF0)

    bad = patched(image, tmp_path / "bad.raw", beyond)
    with pytest.raises(BuildError, match="damaged"):
        read(bad, digests=True)
    assert read(bad).files["etc/large"].size == 5000, "names and sizes are still known"


def test_an_absurd_size_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = plain(tmp_path, small_root(tmp_path / "root"))
    at = place_of(image, "/etc/large")
    bad = patched(image, tmp_path / "bad.raw", lambda data: struct.pack_into("<I", data, at + 108, 300))
    with pytest.raises(BuildError, match="limit 'tar-content'"):
        read(bad, digests=True)
    monkeypatch.setattr(contents, "LISTED_FILES", replace(contents.LISTED_FILES, amount=3))
    with pytest.raises(BuildError, match="limit 'listed-files'"):
        read(image)


def test_folders_within_each_other(tmp_path: Path) -> None:
    image = plain(tmp_path, small_root(tmp_path / "root"))
    ran("debugfs", "-w", "-R", "link /usr /usr/one/again", image)
    with pytest.raises(BuildError, match="is in two folders, or holds itself"):
        read(image)


@pytest.mark.parametrize(("name", "message"), [(b"a/b", "no folder can have"), (b"../", "no folder can have")])
def test_names_that_no_folder_can_have(tmp_path: Path, name: bytes, message: str) -> None:
    image = plain(tmp_path, small_root(tmp_path / "root"))
    bad = patched(image, tmp_path / "bad.raw", lambda data: data.__setitem__(slice(None), data.replace(b"two", name)))
    with pytest.raises(BuildError, match=message):
        read(bad)


def test_names_and_contents_cannot_be_taken_for_an_answer_s_end(tmp_path: Path) -> None:
    root = small_root(tmp_path / "root")
    texts = {"debugfs: cat <12>": b"#mark\ndebugfs: ls -p <2>\n", "#": b"#", "\x1b[2Jodd": b"\n", "e" * 255: b""}
    for name, text in texts.items():
        (root / "etc" / name).write_bytes(text)
    files = read(plain(tmp_path, root), digests=True).files
    for name, text in texts.items():
        assert files[f"etc/{name}"].sha256 == hashlib.sha256(text).hexdigest()


def test_a_disk_that_was_not_unmounted(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    ran("mke2fs", "-q", "-t", "ext4", "-d", small_root(tmp_path / "root"), image, "14M")
    ran("debugfs", "-w", "-R", "feature needs_recovery", image)
    assert "journal" in read(image).unread[0]


def test_a_program_that_this_host_lacks(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vmgen_build.host import run

    find = run.find_program
    monkeypatch.setattr(run, "find_program", lambda name: None if name == "debugfs" else find(name))
    with pytest.raises(HostError, match=r"lacks debugfs.*e2fsprogs"):
        read(disk)


def test_nothing_stays_behind(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to("qcow2")(disk, tmp_path / "image")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(diskcontents, "folder_for_large_files", lambda: work)
    read(tmp_path / "image")
    with monkeypatch.context() as patch:
        patch.setattr(deadline, "UNPACK_TIME", replace(deadline.UNPACK_TIME, amount=0))
        with pytest.raises(BuildError, match="takes too long"):
            read(tmp_path / "image")
    monkeypatch.setattr(rawdisks, "UNPACKED", replace(rawdisks.UNPACKED, amount=100))
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        tar.add(tmp_path / "image", "disk.qcow2")
    with pytest.raises(BuildError, match="limit 'image-unpacked'"):
        read(tmp_path / "in.tar")
    assert list(work.iterdir()) == []
