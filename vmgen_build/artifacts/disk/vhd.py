"""VHD images: whether one is a disk of one file, and what qemu-img makes up anew in each.

Microsoft's "Virtual Hard Disk Image Format Specification", version 1.0. Numbers have the high byte first. A fixed disk
is its content with a footer behind it; a dynamic one begins with a copy of the footer.
"""

from __future__ import annotations

import os
import struct
import uuid
from typing import IO

from vmgen_build.limits import DISK_SIZE

LARGEST = 2040 << 30
"""Bytes of the largest disk that Windows takes ("Hyper-V: maximum supported configuration", VHD)."""

_FOOTER = struct.Struct(">8sIIQI4sI4sQQIII16sB427x")
"""cookie, features, version, offset of the dynamic header, time, program, its version and system, size at first and
now, geometry, type, checksum, id, whether a state is saved."""

_HEADER = struct.Struct(">8sQQIIII16s")
"""cookie, two offsets, version, blocks, bytes of a block, checksum, id of the parent."""

_COOKIE, _SPARSE = b"conectix", b"cxsparse"
_FIXED, _DYNAMIC = 2, 3
_NO_PARENT = bytes(16)
_TIME, _CHECKSUM, _IDENT = 24, 64, 68
_SINCE = 946684800
"""The first second of the year 2000, since when the format counts."""


def check_vhd(file: IO[bytes]) -> int:
    """The size of the disk in bytes. file: one that can be sought. Raises ValueError that says what is refused."""
    end = file.seek(0, os.SEEK_END)
    if end < _FOOTER.size:
        raise ValueError("it is no VHD image")
    copy = _read(file, 0)
    dynamic = copy.startswith(_COOKIE)
    footer = copy if dynamic else _read(file, end - _FOOTER.size)
    cookie, _, _, offset, *_, size, _, kind, checksum, _, _ = _FOOTER.unpack(footer)
    if cookie != _COOKIE:
        raise ValueError("it is no VHD image")
    if checksum != _sum(footer, _CHECKSUM):
        raise ValueError("the checksum of its footer is wrong")
    if kind != (_DYNAMIC if dynamic else _FIXED):
        raise ValueError("it is neither a fixed nor a dynamic disk: others lead to another file, their parent")
    if not 0 < size <= DISK_SIZE.amount:
        raise ValueError(f"its disk has {size} bytes: {DISK_SIZE.exceeded if size else 'there is nothing to read'}")
    if dynamic:
        _check_header(file, offset, end)
    elif size > end - _FOOTER.size:
        raise ValueError("it ends within its disk")
    return int(size)


def settle_vhd(fd: int, ident: uuid.UUID, epoch: int) -> None:
    """Give a new image this id and this time in place of those that qemu-img made up. fd: open to read and write.
    epoch: seconds. Raises OSError, ValueError where it is no VHD."""
    end = os.fstat(fd).st_size - _FOOTER.size
    for at in (0, end):
        footer = bytearray(os.pread(fd, _FOOTER.size, at))
        if not footer.startswith(_COOKIE):
            if at == end:
                raise ValueError("it has no footer")
            continue
        struct.pack_into(">I", footer, _TIME, min(max(epoch - _SINCE, 0), (1 << 32) - 1))
        footer[_IDENT : _IDENT + 16] = ident.bytes
        struct.pack_into(">I", footer, _CHECKSUM, _sum(footer, _CHECKSUM))
        os.pwrite(fd, footer, at)


def _check_header(file: IO[bytes], offset: int, end: int) -> None:
    if offset > end - _HEADER.size:
        raise ValueError("it ends before its header")
    file.seek(offset)
    cookie, *_, parent = _HEADER.unpack(file.read(_HEADER.size))
    if cookie != _SPARSE:
        raise ValueError("it has no header of a dynamic disk")
    if parent != _NO_PARENT:
        raise ValueError("it leads to another file, its parent; give one without (qemu-img convert makes one)")


def _read(file: IO[bytes], at: int) -> bytes:
    file.seek(at)
    return file.read(_FOOTER.size)


def _sum(data: bytes | bytearray, at: int) -> int:
    """The one's complement of the sum of all bytes but for the checksum's own four."""
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF
