"""Archives for Proxmox VE: written, read back, and read by a reader that follows the specification alone."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.vma import VmaContent, VmaDisk, extract_vma, write_vma
from vmgen_build.artifacts.vma import format as form
from vmgen_build.errors import BuildError

KB, MB = 1 << 10, 1 << 20
NONE = Compression("none", 0)
CLUSTER, BLOCK = 64 * KB, 4 * KB


def image(path: Path, size: int, *pieces: tuple[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in pieces:
            os.pwrite(file.fileno(), data, at)
    return path


@pytest.fixture
def disks(tmp_path: Path) -> list[VmaDisk]:
    """One that ends within a block, with zeros that were written, a whole cluster, and one of zeros alone."""
    ragged = 5 * MB + 512
    pieces = (0, b"boot"), (MB, bytes(CLUSTER)), (2 * MB, os.urandom(3 * CLUSTER)), (ragged - 3, b"end")
    first = image(tmp_path / "first", ragged, *pieces)
    return [VmaDisk("drive-scsi0", ragged, first), VmaDisk("drive-ide0", 9 * MB, image(tmp_path / "second", 9 * MB))]


def packed(disks: list[VmaDisk], goal: Path, compression: Compression = NONE) -> Path:
    content = VmaContent("name: lab\n#qmdump#map:scsi0:drive-scsi0:::\n", disks, b"0123456789abcdef", 1700000000)
    written = write_vma(goal, content, compression)
    data = goal.read_bytes()
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return goal


def pieces_of(data: bytes) -> dict[int, bytes]:
    """Where each stands -> its content: vma_spec.txt, "Blob buffer"."""
    offset, size = struct.unpack_from(">II", data, 48)
    found, at = {}, 1
    while at + 2 <= size:
        (length,) = struct.unpack_from("<H", data, offset + at)
        found[at] = data[offset + at + 2 : offset + at + 2 + length]
        at += 2 + length
    return found


def restored(data: bytes) -> tuple[str, dict[str, bytes]]:
    """The text and the disks, as vma_spec.txt has it."""
    assert data[:8] == b"VMA\0\0\0\0\1" and data[8:24] == b"0123456789abcdef"
    (time, pieces) = struct.unpack_from(">Q", data, 24)[0], pieces_of(data)
    (size,) = struct.unpack_from(">I", data, 56)
    assert time == 1700000000 and size % 512 == 0
    assert data[32:48] == hashlib.md5(data[:32] + bytes(16) + data[48:size]).digest()
    name, text = (pieces[struct.unpack_from(">I", data, at)[0]] for at in (2044, 3068))
    assert name == b"qemu-server.conf\0"
    rows = [struct.unpack_from(">IIQQQ", data, 4096 + 32 * number) for number in range(256)]
    images = {number: bytearray(row[2]) for number, row in enumerate(rows) if row[2]}
    seen = list(clusters_of(data, size, images))
    assert len(seen) == len(set(seen)) == sum(-(-len(one) // CLUSTER) for one in images.values())
    return text.decode(), {pieces[rows[n][0]].rstrip(b"\0").decode(): bytes(one) for n, one in images.items()}


def clusters_of(data: bytes, at: int, images: dict[int, bytearray]) -> list[tuple[int, int]]:
    found = []
    while at < len(data):
        head = data[at : at + 512]
        assert head[:6] == b"VMAE\0\0" and head[8:24] == data[8:24]
        assert head[24:40] == hashlib.md5(head[:24] + bytes(16) + head[40:]).digest()
        block = at + 512
        for mask, _, device, number in struct.iter_unpack(">HBBI", head[40:]):
            if device:
                found.append((device, number))
            for bit in range(16) if device else ():
                if mask >> bit & 1:
                    place = number * CLUSTER + bit * BLOCK
                    room = len(images[device]) - place
                    images[device][place : place + min(room, BLOCK)] = data[block : block + min(room, BLOCK)]
                    block += BLOCK
        at += 512 + struct.unpack_from(">H", head, 6)[0] * BLOCK
        assert at == block
    return found


def test_a_reader_by_the_specification_finds_the_disks(disks: list[VmaDisk], tmp_path: Path) -> None:
    data = packed(disks, tmp_path / "a.vma").read_bytes()
    text, found = restored(data)
    assert text.startswith("name: lab\n") and list(found) == ["drive-scsi0", "drive-ide0"]
    assert found == {disk.name: disk.image.read_bytes() for disk in disks}
    assert len(data) < MB, "zeros take no room, whether a hole or not"


@pytest.mark.parametrize("method", [("zstd", 3), ("gzip", 6)])
def test_it_is_compressed_and_the_same_each_time(disks: list[VmaDisk], tmp_path: Path, method: tuple[str, int]) -> None:
    plain = packed(disks, tmp_path / "a.vma").read_bytes()
    first, second = (packed(disks, tmp_path / name, Compression(*method)) for name in ("b", "c"))
    assert first.read_bytes() == second.read_bytes()
    assert subprocess.run([method[0], "-d", "-c"], stdin=first.open(), capture_output=True).stdout == plain


def test_a_disk_that_cannot_be_read_leaves_no_file(disks: list[VmaDisk], tmp_path: Path) -> None:
    disks[1].image.unlink()
    for compression in (NONE, Compression("zstd", 3)):
        with pytest.raises(BuildError, match=r"cannot read .*second"):
            packed(disks, tmp_path / "a.vma", compression)
    assert not list(tmp_path.glob("*.vma*"))


def test_what_is_written_is_read_back(disks: list[VmaDisk], tmp_path: Path) -> None:
    archive = packed(disks, tmp_path / "a.vma")
    goals = {disk.name: (tmp_path / f"{disk.name}.raw", disk.size) for disk in disks}
    with archive.open("rb") as source:
        extract_vma(source, goals)
    for disk in disks:
        assert goals[disk.name][0].read_bytes() == disk.image.read_bytes()


def extent_at(data: bytes) -> int:
    return data.index(b"VMAE")


def resealed(data: bytes, change: Callable[[bytearray], None], at: int, size: int, digest: int) -> bytes:
    """The same with another head at `at`, whose checksum holds. digest: where that is in it."""
    head = bytearray(data[at : at + size])
    change(head)
    head[digest : digest + 16] = bytes(16)
    head[digest : digest + 16] = hashlib.md5(head).digest()
    return data[:at] + bytes(head) + data[at + size :]


def other_cluster(info: int) -> Callable[[bytes], bytes]:
    def change(head: bytearray) -> None:
        head[40:48] = struct.pack(">Q", info)

    return lambda data: resealed(data, change, extent_at(data), 512, 24)


def other_header(at: int, text: bytes) -> Callable[[bytes], bytes]:
    def change(head: bytearray) -> None:
        head[at : at + len(text)] = text

    return lambda data: resealed(data, change, 0, extent_at(data), 32)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "ends within its header"),
        (lambda data: b"no archive" * 2000, "no archive of Proxmox VE"),
        (lambda data: data[:5000] + b"x" + data[5001:], "checksum of its header"),
        (lambda data: data[:-700], "ends within an extent"),
        (lambda data: data[: extent_at(data)], "ends before all clusters"),
        (lambda data: data + data[extent_at(data) :], "not in order"),
        (lambda data: data.replace(b"VMAE", b"VMAX"), "begins otherwise"),
        (other_cluster(0xFFFF << 48 | 1 << 32), "beyond its disk, or is cut off|other blocks"),
        (other_cluster(1 << 48 | 1 << 32 | 1), "not in order"),
        (other_cluster(1 << 48 | 7 << 32), "beyond its disk"),
        (other_cluster(1 << 48 | 1 << 32 | 0xFFFFFFFF), "beyond its disk"),
        (other_header(56, b"\xff\xff\xff\xff"), "values that no archive has"),
        (other_header(4096 + 32, b"\0\0\xff\xff"), "a piece that is not there"),
        (other_header(4096 + 32, b"\0\0\0\x01"), "it has no disk 'drive-scsi0'"),
        (other_header(4096 + 40, b"\0\0\x40\0"), "larger than the"),
    ],
)
def test_a_damaged_one_is_refused(
    disks: list[VmaDisk], tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    data = damage(packed(disks, tmp_path / "a.vma").read_bytes())
    goals = {disk.name: (tmp_path / f"{disk.name}.raw", disk.size) for disk in disks}
    with pytest.raises(BuildError, match=message):
        extract_vma(io.BytesIO(data), goals)
    assert not list(tmp_path.glob("*.raw"))


def test_other_disks_are_refused(disks: list[VmaDisk], tmp_path: Path) -> None:
    archive = packed(disks, tmp_path / "a.vma")
    with archive.open("rb") as source, pytest.raises(BuildError, match="a disk 'drive-scsi0', which the machine has"):
        extract_vma(source, {"drive-ide0": (tmp_path / "b.raw", 9 * MB)})


def test_extents_without_clusters_are_refused(disks: list[VmaDisk], tmp_path: Path) -> None:
    """Of them a small archive could have as many as keep its reader at work for hours."""
    data = packed(disks, tmp_path / "a.vma").read_bytes()
    ident = data[8:24]
    data += form.extent(ident, [], []) * 3
    goals = {disk.name: (tmp_path / f"{disk.name}.raw", disk.size) for disk in disks}
    with pytest.raises(BuildError, match="has no cluster"):
        extract_vma(io.BytesIO(data), goals)


def test_a_text_that_is_too_long_is_refused(disks: list[VmaDisk], tmp_path: Path) -> None:
    content = VmaContent("x" * 70000, disks, bytes(16), 0)
    with pytest.raises(BuildError, match="65535 bytes at most"):
        write_vma(tmp_path / "a.vma", content, NONE)
