"""The parts of an archive of a virtual machine: vma_spec.txt, vma.h and vma-reader.c of Proxmox VE's QEMU.

A header holds texts and the sizes of disks. Extents follow, each with a head and up to 59 clusters of 64 KiB, of which
only those blocks of 4 KiB are there that hold more than zeros. Every cluster of every disk is named once. All numbers
are big-endian, but for the lengths of the header's pieces ("blobs"), which are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONFIG = "qemu-server.conf"
"""The text that describes the machine (qm.conf(5))."""

BLOCK, CLUSTER = 4096, 65536
SECTOR = 512
CLUSTERS = 59
"""Of an extent."""

HEAD = 12288
"""Bytes of the header before its pieces."""

EXTENT = struct.Struct(f">4sHH16s16s{CLUSTERS}Q")
"""magic, nothing, blocks, uuid, MD5, clusters."""

MAGIC, EXTENT_MAGIC = b"VMA\0", b"VMAE"
TABLE = 256
"""Texts and disks that a header has room for."""

LONGEST = 0xFFFF
"""Bytes of a piece."""

START = struct.Struct(">4sI16sQ16sIII")
"""magic, version, uuid, time, MD5, offset and size of the pieces, size of the whole header."""

HEADER_MD5, EXTENT_MD5 = 32, 24
"""Where they stand."""

NAMES, DATA, DEVICES = 2044, 3068, 4096
"""Where the tables of texts' names, of texts and of disks begin."""

DEVICE = struct.Struct(">IIQQQ")
"""Piece that is its name, nothing, bytes, nothing twice."""


@dataclass(frozen=True, slots=True)
class VmaDisk:
    """name: as "drive-scsi0". size: bytes. image: raw."""

    name: str
    size: int
    image: Path


@dataclass(frozen=True, slots=True)
class VmaContent:
    """config: the text CONFIG. ident: 16 bytes that mark the archive. epoch: its time, in seconds."""

    config: str
    disks: Sequence[VmaDisk]
    ident: bytes
    epoch: int


def header(content: VmaContent) -> bytes:
    """Raises ValueError where a text is too long, or there are too many disks."""
    if len(content.disks) >= TABLE:
        raise ValueError(f"an archive has room for {TABLE - 1} disks")
    pieces = bytearray(1)
    name, text = (_add(pieces, data) for data in (CONFIG.encode() + b"\0", content.config.encode()))
    devices = [DEVICE.pack(_add(pieces, disk.name.encode() + b"\0"), 0, disk.size, 0, 0) for disk in content.disks]
    pieces += bytes(-len(pieces) % SECTOR)
    whole = bytearray(HEAD) + pieces
    START.pack_into(whole, 0, MAGIC, 1, content.ident, content.epoch, bytes(16), HEAD, len(pieces), len(whole))
    struct.pack_into(">I", whole, NAMES, name)
    struct.pack_into(">I", whole, DATA, text)
    for number, device in enumerate(devices, 1):
        at = DEVICES + number * DEVICE.size
        whole[at : at + DEVICE.size] = device
    whole[HEADER_MD5 : HEADER_MD5 + 16] = _md5(whole)
    return bytes(whole)


def extent(ident: bytes, clusters: Sequence[int], blocks: Sequence[bytes]) -> bytes:
    """clusters: as `cluster_info` makes them. blocks: what they have, in order."""
    size = sum(map(len, blocks)) // BLOCK
    numbers = [*clusters, *[0] * (CLUSTERS - len(clusters))]
    head = bytearray(EXTENT.pack(EXTENT_MAGIC, 0, size, ident, bytes(16), *numbers))
    head[EXTENT_MD5 : EXTENT_MD5 + 16] = _md5(head)
    return b"".join((head, *blocks))


def cluster_info(device: int, number: int, mask: int) -> int:
    """device: from 1. number: of the cluster. mask: a bit for each block that is there, the first one's the lowest."""
    return mask << 48 | device << 32 | number


def holds(data: bytes, at: int) -> bool:
    """Whether the MD5 that stands there is that of the data with zeros in its place."""
    return data[at : at + 16] == _md5(data[:at] + bytes(16) + data[at + 16 :])


def piece(whole: bytes, offset: int, size: int, at: int) -> bytes:
    """Of the header. offset, size: of all pieces. at: where it stands among them. Raises ValueError."""
    if not 0 < at <= size - 2:
        raise ValueError("its header names a piece that is not there")
    (length,) = struct.unpack_from("<H", whole, offset + at)
    if at + 2 + length > size:
        raise ValueError("a piece of its header is cut off")
    return whole[offset + at + 2 : offset + at + 2 + length]


def _md5(data: bytes | bytearray) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _add(pieces: bytearray, data: bytes) -> int:
    """Where the piece stands."""
    if len(data) > LONGEST:
        raise ValueError(f"a text of an archive has {LONGEST} bytes at most")
    at = len(pieces)
    pieces += struct.pack("<H", len(data)) + data
    return at
