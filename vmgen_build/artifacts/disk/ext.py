"""ext2, ext3 and ext4 by mke2fs(8), straight into the image, the same bytes each time."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

BLOCK, INODE = 4096, 256

CONFIG = """\
[defaults]
    base_features = ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file
    default_mntopts = acl,user_xattr
    enable_periodic_fsck = 0
[fs_types]
    ext2 = {
    }
    ext3 = {
        features = has_journal
    }
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
"""
"""mke2fs.conf(5), instead of the host's: features that GRUB 2.06 and the e2fsck of Debian 11 know."""

_RO_COMPAT_METADATA_CSUM = 0x400
_INCOMPAT_64BIT = 0x80
_POLYNOMIAL = 0x82F63B78
"""CRC-32C, reflected."""

_ATIME, _CTIME, _MTIME = 0x08, 0x0C, 0x10
_CTIME_EXTRA, _MTIME_EXTRA, _ATIME_EXTRA = 0x84, 0x88, 0x8C
_CSUM_LOW, _CSUM_HIGH = 0x7C, 0x82
"""Offsets in an inode: kernel documentation, filesystems/ext4/inodes.rst."""


@dataclass(frozen=True, slots=True)
class _Super:
    """What the tables of inodes are found by: Documentation/filesystems/ext4/super.rst."""

    first: int
    blocks: int
    per_group: int
    inodes_per_group: int
    descriptor: int
    checksums: bool


def settle(image: Path, start: int, epoch: int, root: os.stat_result | None) -> None:
    """Make the file system at byte `start` of `image` depend on nothing but its content.

    mke2fs -d keeps the change and access times of its source, and gives the top folder a mode and time of its own: here
    all three times of each inode become that of the modification, at most `epoch`, and the top folder gets `root`'s.
    """
    with image.open("r+b", buffering=0) as file:
        layout = _super(file, start)
        for number, offset, table in _tables(file, start, layout):
            new = bytearray(table)
            for at in range(0, len(new), INODE):
                inode = number + at // INODE
                if (inode == 2 or inode > 10) and new[at : at + 2] != b"\0\0":
                    _settle_inode(new, at, epoch, root if inode == 2 else None, layout.checksums)
            if new != table:
                file.seek(offset)
                file.write(new)


def _settle_inode(table: bytearray, at: int, epoch: int, like: os.stat_result | None, checksums: bool) -> None:
    """like: what mode and time are taken from; None keeps the inode's own."""
    old = bytes(table[at : at + INODE])
    (seconds,) = struct.unpack_from("<i", old, _MTIME)
    (extra,) = struct.unpack_from("<I", old, _MTIME_EXTRA)
    if like is not None:
        (old_mode,) = struct.unpack_from("<H", old)
        struct.pack_into("<H", table, at, old_mode & 0xF000 | stat.S_IMODE(like.st_mode))
        seconds, extra = _as_stored(int(like.st_mtime))
    if seconds + ((extra & 3) << 32) > epoch:
        seconds, extra = _as_stored(epoch)
    for field in (_ATIME, _CTIME, _MTIME):
        struct.pack_into("<i", table, at + field, seconds)
    for field in (_ATIME_EXTRA, _CTIME_EXTRA, _MTIME_EXTRA):
        struct.pack_into("<I", table, at + field, extra)
    if checksums:
        _renew_checksum(table, at, old)


def _as_stored(time: int) -> tuple[int, int]:
    """The signed 32 bits of a time in seconds, and what its extra field says of the rest."""
    low = (time + 2**31) % 2**32 - 2**31
    return low, (time - low) >> 32 & 3


def _renew_checksum(table: bytearray, at: int, old: bytes) -> None:
    """A CRC is linear: the old one, xored with the share of each changed byte, is the new one. So neither the seed of
    the checksum nor the unchanged bytes are needed."""
    shares = _shares()
    change = 0
    for index in (*range(2), *range(_ATIME, _MTIME + 4), *range(_CTIME_EXTRA, _ATIME_EXTRA + 4)):
        difference = old[index] ^ table[at + index]
        if difference:
            change ^= shares[index][difference]
    for field, bits in ((_CSUM_LOW, change & 0xFFFF), (_CSUM_HIGH, change >> 16)):
        (value,) = struct.unpack_from("<H", old, field)
        struct.pack_into("<H", table, at + field, value ^ bits)


@cache
def _shares() -> tuple[tuple[int, ...], ...]:
    """[place][byte] -> what the byte at this place of an inode adds to its CRC-32C."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    rows = [tuple(table)]
    while len(rows) < INODE:
        rows.append(tuple(value >> 8 ^ table[value & 0xFF] for value in rows[-1]))
    return tuple(reversed(rows))


def _super(file: BinaryIO, start: int) -> _Super:
    file.seek(start + 1024)
    block = file.read(1024)
    blocks, first = struct.unpack_from("<I", block, 0x04)[0], struct.unpack_from("<I", block, 0x14)[0]
    incompat, ro_compat = struct.unpack_from("<II", block, 0x60)
    wide = bool(incompat & _INCOMPAT_64BIT)
    if wide:
        blocks += struct.unpack_from("<I", block, 0x150)[0] << 32
    return _Super(
        first=first,
        blocks=blocks,
        per_group=struct.unpack_from("<I", block, 0x20)[0],
        inodes_per_group=struct.unpack_from("<I", block, 0x28)[0],
        descriptor=struct.unpack_from("<H", block, 0xFE)[0] if wide else 32,
        checksums=bool(ro_compat & _RO_COMPAT_METADATA_CSUM),
    )


def _tables(file: BinaryIO, start: int, layout: _Super) -> Iterator[tuple[int, int, bytes]]:
    """For each group with inodes in use: its first inode's number, and the used part of its table with its offset.

    Group descriptors: filesystems/ext4/group_descr.rst. Without checksums they do not say how much is used.
    """
    groups = -(-(layout.blocks - layout.first) // layout.per_group)
    file.seek(start + (layout.first + 1) * BLOCK)
    descriptors = _read(file, groups * layout.descriptor)
    for group in range(groups):
        at = group * layout.descriptor
        (table,) = struct.unpack_from("<I", descriptors, at + 0x08)
        free, unused = struct.unpack_from("<H", descriptors, at + 0x0E)[0], 0
        if layout.descriptor >= 64:
            table += struct.unpack_from("<I", descriptors, at + 0x28)[0] << 32
            free += struct.unpack_from("<H", descriptors, at + 0x2E)[0] << 16
        if layout.checksums:
            unused = struct.unpack_from("<H", descriptors, at + 0x1C)[0]
            unused += struct.unpack_from("<H", descriptors, at + 0x32)[0] << 16 if layout.descriptor >= 64 else 0
        if free >= layout.inodes_per_group:
            continue
        offset = start + table * BLOCK
        file.seek(offset)
        used = layout.inodes_per_group - unused
        yield group * layout.inodes_per_group + 1, offset, _read(file, used * INODE)


def _read(file: BinaryIO, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        chunk = file.read(size - len(parts))
        if not chunk:
            raise OSError(f"{file.name}: ends within a table")
        parts += chunk
    return bytes(parts)
