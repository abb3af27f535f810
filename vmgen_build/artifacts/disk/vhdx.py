"""VHDX images: whether one is a disk of one file, and what qemu-img makes up anew in each.

Microsoft's [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format". Numbers have the low byte first, and so have the parts
of an id. Of two headers the one with the greater number counts; changes that a log still holds are made when a disk is
opened. A table of regions says where the metadata lie, and these what the disk is.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from vmgen_build.limits import DISK_SIZE

KIB = 1 << 10
_IDENTIFIER = b"vhdxfile"
_HEADERS, _REGIONS = (64 * KIB, 128 * KIB), 192 * KIB
_HEADER_SIZE, _TABLE_SIZE = 4 * KIB, 64 * KIB

_HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
"""signature, checksum, number, ids of the last write to the file and to its data, of the log; versions of the log and
the format; length and offset of the log."""

_ENTRY = struct.Struct("<16sQII")
"""Of the regions, from 16 on: id, offset, length, whether it must be known."""

_ITEM = struct.Struct("<16sIIII")
"""Of the metadata, from 32 on: id, offset within the region, length, flags, 0."""

_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_PAGE_83 = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
_PARENT = 2
_MOST_ENTRIES = 2047
_NO_LOG = bytes(16)

Read = Callable[[int, int], bytes]
"""Length and offset -> the bytes there."""


@dataclass(frozen=True, slots=True)
class _VhdxHeader:
    number: int
    log: bytes
    log_length: int
    log_offset: int
    data: bytes


def check_vhdx(file: IO[bytes]) -> int:
    """The size of the disk in bytes. file: one that can be sought. Raises ValueError that says what is refused."""

    def read(length: int, at: int) -> bytes:
        file.seek(at)
        return file.read(length)

    if read(len(_IDENTIFIER), 0) != _IDENTIFIER:
        raise ValueError("it is no VHDX image")
    if _current(read).log != _NO_LOG:
        raise ValueError("it was not closed: its log holds changes; open and close it once, or convert it by qemu-img")
    items = dict(_items(read))
    flags = struct.unpack("<I", read(4, items[_PARAMETERS] + 4))[0] if _PARAMETERS in items else _PARENT
    if flags & _PARENT:
        raise ValueError("it leads to another file, its parent; give one without (qemu-img convert makes one)")
    if _SIZE not in items:
        raise ValueError("it does not say how large its disk is")
    size = int(struct.unpack("<Q", read(8, items[_SIZE]))[0])
    if not 0 < size <= DISK_SIZE.amount:
        raise ValueError(f"its disk has {size} bytes: {DISK_SIZE.exceeded if size else 'there is nothing to read'}")
    return size


def settle_vhdx(fd: int, ident: uuid.UUID) -> None:
    """Give a new image this id and ids made of it in place of those that qemu-img made up, its headers the numbers 1
    and 2, and an empty log. fd: open to read and write. Raises OSError, ValueError where it is no VHDX, or not closed.
    """

    def read(length: int, at: int) -> bytes:
        return os.pread(fd, length, at)

    header, items = _current(read), dict(_items(read))
    if header.log != _NO_LOG or _PAGE_83 not in items:
        raise ValueError("it is not whole")
    os.pwrite(fd, ident.bytes_le, items[_PAGE_83])
    os.pwrite(fd, bytes(header.log_length), header.log_offset)
    written, changed = (uuid.uuid5(ident, name).bytes_le for name in ("file", "data"))
    for number, at in enumerate(_HEADERS, start=1):
        data = bytearray(header.data)
        struct.pack_into("<Q16s16s", data, 8, number, written, changed)
        struct.pack_into("<I", data, 4, _checksum(data))
        os.pwrite(fd, data, at)


def _current(read: Read) -> _VhdxHeader:
    """Raises ValueError where neither header is sound."""
    found = []
    for at in _HEADERS:
        data = read(_HEADER_SIZE, at)
        if len(data) == _HEADER_SIZE and data.startswith(b"head") and _sound(data):
            _, _, number, _, _, log, _, _, length, offset = _HEADER.unpack_from(data)
            found.append(_VhdxHeader(number, log, length, offset, data))
    if not found:
        raise ValueError("it has no sound header")
    return max(found, key=lambda header: header.number)


def _items(read: Read) -> Iterator[tuple[uuid.UUID, int]]:
    """Id and place in the file of each item of the metadata. Raises ValueError."""
    table = read(_TABLE_SIZE, _REGIONS)
    if len(table) < _TABLE_SIZE or not table.startswith(b"regi") or not _sound(table):
        raise ValueError("it has no sound table of regions")
    regions = dict(_entries(table, _ENTRY, 16, struct.unpack_from("<I", table, 8)[0]))
    if _METADATA not in regions:
        raise ValueError("it has no metadata")
    start = regions[_METADATA]
    head = read(_TABLE_SIZE, start)
    if len(head) < _TABLE_SIZE or not head.startswith(b"metadata"):
        raise ValueError("it has no metadata")
    for ident, offset in _entries(head, _ITEM, 32, struct.unpack_from("<H", head, 10)[0]):
        if len(read(16, start + offset)) < 16:
            raise ValueError("it ends within its metadata")
        yield ident, start + offset


def _entries(table: bytes, form: struct.Struct, at: int, count: int) -> Iterator[tuple[uuid.UUID, int]]:
    """Id and offset of each entry of a table that begin at `at`."""
    if count > _MOST_ENTRIES or at + count * form.size > len(table):
        raise ValueError("one of its tables has more entries than room for them")
    for number in range(count):
        ident, offset, *_ = form.unpack_from(table, at + number * form.size)
        yield uuid.UUID(bytes_le=ident), offset


def _sound(data: bytes) -> bool:
    return bool(struct.unpack_from("<I", data, 4)[0] == _checksum(data))


def _checksum(data: bytes | bytearray) -> int:
    """CRC-32C of the data, with zeros where the checksum stands."""
    value = 0xFFFFFFFF
    for byte in (*data[:4], 0, 0, 0, 0, *data[8:]):
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    """Of RFC 3720, appendix B.4; the polynomial 0x1EDC6F41, its bits turned round."""
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = tuple(map(_crc_of, range(256)))
