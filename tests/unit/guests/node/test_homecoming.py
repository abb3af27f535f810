"""Issue 8, item 15 (nodes): the root that comes home is unpacked within limits, by real programs."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.node import homecoming
from vmgen_build.guests.node.homecoming import take_in
from vmgen_build.guests.node.workshop import PACKERS
from vmgen_build.guests.runners import ConnectionLost
from vmgen_build.limits import Limit

GUNZIP = PACKERS["gzip"][1]


def packed(*names: str, size: int = 10, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(b"x" * size))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return out.getvalue()


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    return tmp_path / "rootfs"


@pytest.mark.parametrize("unpacker", [(), GUNZIP])
def test_issue_8_15_a_good_root_is_unpacked(unpacker: Sequence[str], root: Path) -> None:
    data = packed("a", "b", size=3 << 20, link="/etc/passwd")
    take_in(io.BytesIO(gzip.compress(data, 1) if unpacker else data), unpacker, root, "node")
    assert (root / "b").stat().st_size == 3 << 20 and os.readlink(root / "link") == "/etc/passwd"


@pytest.mark.parametrize("unpacker", [(), GUNZIP])
def test_issue_8_15_a_hostile_root_is_refused_by_name(unpacker: Sequence[str], root: Path) -> None:
    data = packed("a", "../outside")
    with pytest.raises(HostError, match=r"that comes from node is refused: the name '../outside' is none"):
        take_in(io.BytesIO(gzip.compress(data) if unpacker else data), unpacker, root, "node")
    assert not (root.parent / "outside").exists()


class Failing(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            raise ConnectionLost("the connection was cut")
        return piece


@pytest.mark.parametrize("unpacker", [(), GUNZIP])
def test_issue_8_15_a_cut_connection_is_named_before_what_it_brings(unpacker: Sequence[str], root: Path) -> None:
    data = packed("a", size=1 << 20)
    sent = gzip.compress(data)[:600] if unpacker else data[:512]
    with pytest.raises(ConnectionLost):
        take_in(cast(BinaryIO, Failing(sent)), unpacker, root, "node")


def test_issue_8_15_what_is_damaged_is_named(root: Path) -> None:
    with pytest.raises(HostError, match=r"node is (refused|damaged)"):
        take_in(io.BytesIO(b"no gzip at all"), GUNZIP, root, "node")
    with pytest.raises(HostError, match=r"node is damaged: .*gzip"):
        take_in(io.BytesIO(gzip.compress(packed("a"))[:-4] + b"oops"), GUNZIP, root, "node")


class Zeros(io.RawIOBase):
    """A file of a terabyte, packed by gzip: 1000 times smaller than what comes out. given: what was taken of it."""

    def __init__(self) -> None:
        info = tarfile.TarInfo("bomb")
        info.size = 1 << 30
        self.head, self.given = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 30), 1), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self.head[self.given : self.given + 4096]
        self.given += len(piece)
        return piece


def test_issue_8_15_a_bomb_ends_at_its_limit_and_leaves_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homecoming, "ROOT_ROOM", Limit("root-room", "", 1 << 60))
    bomb = Zeros()
    with pytest.raises(HostError, match=r"that comes from node fills the disk: .*'root-room'"):
        take_in(cast(BinaryIO, bomb), GUNZIP, root, "node")
    assert sum(path.stat().st_size for path in root.iterdir()) < 16 << 20
