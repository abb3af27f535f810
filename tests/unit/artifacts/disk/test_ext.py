"""ext file systems: the same content gives the same bytes, and e2fsck takes what was changed after mke2fs."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk import ext

START = 1 << 20
BLOCKS = 20000
ID = "11111111-2222-4333-8444-555555555555"
EPOCH = 1_700_000_000


def ran(*command: object) -> str:
    env = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).mkdir()
        (folder / name / "file").write_text(name * 5000)
        os.utime(folder / name / "file", (0, EPOCH - 10_000))
    (folder / "young").write_text("x")
    (folder / "old").write_text("x")
    os.utime(folder / "old", (5, -86400))
    for name in names:
        os.utime(folder / name, (0, EPOCH + 99))
    folder.chmod(0o1750)
    os.utime(folder, (7, EPOCH - 5))
    return folder


def make(image: Path, fs: str, source: Path) -> Path:
    """As filesystems._ext does, without root."""
    image.touch()
    os.truncate(image, START + BLOCKS * ext.BLOCK)
    config = image.with_suffix(".conf")
    config.write_text(ext.CONFIG)
    environment = (f"MKE2FS_CONFIG={config}", f"E2FSPROGS_FAKE_TIME={EPOCH}")
    options = f"offset={START},hash_seed={ID},lazy_itable_init=0,lazy_journal_init=1"
    command = ["mke2fs", "-q", "-F", "-t", fs, "-b", ext.BLOCK, "-I", ext.INODE, "-N", 5000, "-U", ID, "-E", options]
    ran("env", *environment, *command, "-d", source, image, BLOCKS)
    return image


@pytest.mark.parametrize("fs", ["ext2", "ext3", "ext4"])
def test_two_trees_of_one_content_give_the_same_bytes(tmp_path: Path, fs: str) -> None:
    names = [f"folder-{n}" for n in range(40)]
    images = []
    for number, order in enumerate((names, names[::-1])):
        source = tree(tmp_path / f"tree-{number}", order)
        image = make(tmp_path / f"{fs}-{number}", fs, source)
        ext.settle(image, START, EPOCH, source.stat())
        images.append(image.read_bytes())
        time.sleep(1.1)
    assert images[0] == images[1]
    place = f"{image}?offset={START}"
    ran("e2fsck", "-fn", place)
    root = ran("debugfs", "-R", "stat <2>", place)
    assert "Mode:  01750" in root and f"mtime: 0x{EPOCH - 5:08x}" in root and f"ctime: 0x{EPOCH - 5:08x}" in root
    file = ran("debugfs", "-R", "stat folder-7/file", place)
    assert all(f"{kind}time: 0x{EPOCH - 10_000:08x}" in file for kind in "acm")
    for young in ("young", "folder-3"):
        assert all(f"{kind}time: 0x{EPOCH:08x}" in ran("debugfs", "-R", f"stat {young}", place) for kind in "acm")
    assert f"mtime: 0x{-86400 & 0xFFFFFFFF:08x}" in ran("debugfs", "-R", "stat old", place)


def test_the_tables_take_no_room_and_need_no_clearing(tmp_path: Path) -> None:
    """A kernel that has to clear them at first mount makes a sparse disk grow."""
    image = make(tmp_path / "disk", "ext4", tree(tmp_path / "tree", []))
    ext.settle(image, START, EPOCH, None)
    assert image.stat().st_blocks * 512 < 1 << 20
    alone = tmp_path / "filesystem"
    ran("dd", "status=none", f"if={image}", f"of={alone}", f"bs={START}", "skip=1", "conv=sparse")
    shown = ran("dumpe2fs", alone)
    assert re.findall(r"^Group [0-9]+: .*(?<!ITABLE_ZEROED)]$", shown, re.M) == []
    assert re.search(r"^Group 0: .*ITABLE_ZEROED\]$", shown, re.M)


@pytest.mark.parametrize("epoch", [1, 2**31 - 1, 2**31, 2**32 + 5, 2**33])
def test_times_beyond_2038(tmp_path: Path, epoch: int) -> None:
    """seconds = signed 32 bits + 2 bits of the extra field << 32."""
    table = bytearray(ext.INODE)
    table[ext._MTIME : ext._MTIME + 4] = b"\xff\xff\xff\x7f"
    table[ext._MTIME_EXTRA] = 3  # in the year 2446
    ext._settle_inode(table, 0, epoch, None, checksums=False)
    for low, high in ((ext._MTIME, ext._MTIME_EXTRA), (ext._ATIME, ext._ATIME_EXTRA), (ext._CTIME, ext._CTIME_EXTRA)):
        seconds = int.from_bytes(table[low : low + 4], "little", signed=True)
        assert seconds + ((table[high] & 3) << 32) == epoch
