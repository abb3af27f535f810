"""gzip in members: what others read of it."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmgen_build.artifacts.gzipped import BLOCK, gzip_content, gzip_members
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.errors import BuildError


def content(size: int) -> bytes:
    return random.Random(1).randbytes(size // 2) + bytes(size - size // 2)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 12 * BLOCK + 5])
def test_others_read_it(tmp_path: Path, size: int) -> None:
    data, path = content(size), tmp_path / "x.gz"
    path.write_bytes(b"".join(gzip_members(data[i : i + 70001] for i in range(0, size, 70001))))
    assert gzip.decompress(path.read_bytes()) == data
    subprocess.run(["gzip", "-t", path], check=True)
    with gzip_content(path, "x") as file:
        assert file.read() == data
    header = path.read_bytes()[:10]
    assert header[:3] == b"\x1f\x8b\x08" and header[4:8] == bytes(4), "no time in it"


def test_the_bytes_depend_on_the_input_alone() -> None:
    data = content(20 * BLOCK)
    before = os.sched_getaffinity(0)
    many = b"".join(gzip_members([data]))
    try:
        os.sched_setaffinity(0, {min(before)})
        assert b"".join(gzip_members(data[i : i + 1000] for i in range(0, len(data), 1000))) == many
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    data = content(3 * BLOCK)
    whole = b"".join(gzip_members([data]))
    path = tmp_path / "x.gz"
    middle = len(whole) // 2
    changed = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes(whole[:-100] if damage == "cut" else changed)
    with pytest.raises(BuildError, match="x is damaged"), gzip_content(path, "x") as file:
        assert file.read(10) == data[:10], "the rest is read at the end"


def test_a_tarball_in_members(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/big").write_bytes(content(9 * BLOCK))
    goal = tmp_path / "root.tar.gz"
    written = write_tarball(goal, TarContent(root, ".", 0), gzip_members)
    assert written.size == goal.stat().st_size
    with tarfile.open(goal) as tar:
        assert tar.getnames() == [".", "./etc", "./etc/big"]
    listed = subprocess.run(["tar", "-tzf", goal], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["./", "./etc/", "./etc/big"]
