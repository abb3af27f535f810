"""The bytes of a stream-optimized VMDK, after VMware's technical note "Virtual Disk Format 5.0".

All numbers are little-endian; offsets and lengths are in sectors of 512 bytes unless a name says bytes.

    header        1 sector; gdOffset is GD_AT_END
    descriptor    text, DESCRIPTOR_SECTORS from sector 1, filled up with zeros; then zeros up to OVERHEAD
    for each grain table with at least one grain that is not all zero:
        grains    in ascending order: a marker (LBA, bytes of data), a zlib stream, zeros up to a whole sector
        table     a marker, then ENTRIES times the sector of a grain's marker; 0: all zero
    directory     a marker, then for each table the sector where it begins (behind its marker); 0: all zero
    footer        a marker, then the header again with the directory's true place
    end           a marker of zeros: the last sector of the file

Every grain inflates to GRAIN bytes, the last one too: readers exist that take no shorter one (VirtualBox).
"""

from __future__ import annotations

import hashlib
import struct
import sys
import uuid
from array import array
from dataclasses import dataclass, replace

from vmgen_build.errors import BuildError

SECTOR = 512
GRAIN = 1 << 16
"""Bytes."""

GRAIN_SECTORS = GRAIN // SECTOR
ENTRIES = 512
TABLE_SECTORS = ENTRIES * 4 // SECTOR
DESCRIPTOR_SECTORS = 20
OVERHEAD = 128
_NO_UUID = uuid.UUID(int=0)
"""The four lines ddb.uuid are VirtualBox's, which attaches no VMDK without them (its source, VMDK.cpp)."""

LARGEST_DISK = 62 << 40
"""Bytes; vSphere takes none larger."""

LARGEST_DEFLATED = (GRAIN_SECTORS + 1) * SECTOR - 12
"""Bytes of a deflated grain that fit the buffers of VMware's open-vmdk; VirtualBox and QEMU take a little more."""

GD_AT_END = (1 << 64) - 1
END_OF_STREAM, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = range(4)
"""Types of markers; a marker whose length is not 0 is a grain's."""

_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
_MAGIC = b"KDMV"
_VERSION = 3
_FLAGS = 0x30001
"""The line ends below are valid; grains are compressed; there are markers."""
_LINE_ENDS = b"\n \r\n"
_DEFLATE = 1
_MARKER = struct.Struct("<QII496x")
_GRAIN_MARKER = struct.Struct("<QI")

GRAIN_MARKER_BYTES = _GRAIN_MARKER.size


class VmdkError(BuildError, ValueError):
    """The file is not a stream-optimized VMDK of the form above; the text says what is wrong, and at which byte."""


@dataclass(frozen=True, slots=True)
class Header:
    capacity: int
    directory: int = GD_AT_END
    descriptor_sectors: int = DESCRIPTOR_SECTORS
    overhead: int = OVERHEAD

    @property
    def grains(self) -> int:
        return -(-self.capacity // GRAIN_SECTORS)

    @property
    def tables(self) -> int:
        return -(-self.grains // ENTRIES)

    @property
    def directory_sectors(self) -> int:
        return -(-self.tables * 4 // SECTOR)

    def with_directory(self, sector: int) -> Header:
        return replace(self, directory=sector)

    def packed(self) -> bytes:
        return _HEADER.pack(
            _MAGIC,
            _VERSION,
            _FLAGS,
            self.capacity,
            GRAIN_SECTORS,
            1,
            self.descriptor_sectors,
            ENTRIES,
            0,
            self.directory,
            self.overhead,
            0,
            _LINE_ENDS,
            _DEFLATE,
        )


def parse_header(sector: bytes) -> Header:
    """Raises VmdkError that names the first field that is not as it must be."""
    found = _HEADER.unpack(sector)
    capacity, descriptor_sectors, directory, overhead = found[3], found[6], found[9], found[10]
    wanted = {
        "magic number": (found[0], _MAGIC),
        "version": (found[1], _VERSION),
        "flags": (found[2], _FLAGS),
        "grain size": (found[4], GRAIN_SECTORS),
        "descriptor's sector": (found[5], 1),
        "number of entries per grain table": (found[7], ENTRIES),
        "sector of the redundant directory": (found[8], 0),
        "mark of an unclean shutdown": (found[11], 0),
        "line ends": (found[12], _LINE_ENDS),
        "compression": (found[13], _DEFLATE),
    }
    for name, (value, right) in wanted.items():
        if value != right:
            raise VmdkError(f"the header's {name} is {value!r}, not {right!r}")
    if not 0 < capacity <= LARGEST_DISK // SECTOR:
        raise VmdkError(f"the header's capacity is {capacity} sectors")
    if not 0 < descriptor_sectors < overhead <= 2048:
        raise VmdkError(f"the header leaves {descriptor_sectors} of {overhead} sectors to the descriptor")
    header = Header(capacity, directory, descriptor_sectors, overhead)
    if header.packed() != sector:
        raise VmdkError("the header's padding is not zero")
    return header


def marker(kind: int, sectors: int) -> bytes:
    """The sector before a table, the directory or the footer (`sectors` long), or the one that ends the stream."""
    return _MARKER.pack(sectors, 0, kind)


def parse_marker(sector: bytes) -> tuple[int, int, int]:
    """(LBA or length, bytes of data, type); the type counts only where there are no bytes of data."""
    value, size, kind = _MARKER.unpack(sector)
    return value, size, kind


def grain_record(number: int, deflated: bytes) -> bytes:
    """A grain's marker, data and padding."""
    record = _GRAIN_MARKER.pack(number * GRAIN_SECTORS, len(deflated)) + deflated
    return record + bytes(-len(record) % SECTOR)


def table_bytes(entries: array[int]) -> bytes:
    """A grain table, or the directory: 32 bits each, up to a whole sector."""
    if sys.byteorder == "big":
        entries = array(entries.typecode, entries)
        entries.byteswap()
    data = entries.tobytes()
    return data + bytes(-len(data) % SECTOR)


def descriptor(name: str, capacity: int, adapter: str, ident: str = "") -> bytes:
    """The embedded descriptor. name: the file's; capacity: sectors; adapter: "lsilogic" or "ide"; ident: what tells the
    disk apart from others of its name, as the id of its plan.

    Its content id tells snapshots apart from what they were taken of: any value serves that is not all ones. It is made
    from what is known before the content is read, and the same each time. 2147483647 is the version that
    open-vm-tools has.
    """
    seed = hashlib.sha256(f"{name}\n{capacity}\n{adapter}".encode()).hexdigest()
    content_id = "0" + seed[1:8]
    image = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{ident}/{name}/{capacity}/{adapter}")
    heads, sectors, most = (16, 63, 16383) if adapter == "ide" else (255, 63, 65535)
    cylinders = min(most, -(-capacity // (heads * sectors)))
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "_" for c in name)
    text = f"""\
# Disk DescriptorFile
version=1
CID={content_id}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RDONLY {capacity} SPARSE "{plain}"

# The Disk Data Base
#DDB

ddb.adapterType = "{adapter}"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{sectors}"
ddb.longContentID = "{seed[8:32]}{content_id}"
ddb.toolsVersion = "2147483647"
ddb.uuid.image = "{image}"
ddb.uuid.modification = "{image}"
ddb.uuid.parent = "{_NO_UUID}"
ddb.uuid.parentmodification = "{_NO_UUID}"
ddb.virtualHWVersion = "4"
"""
    return text.encode("ascii").ljust(DESCRIPTOR_SECTORS * SECTOR, b"\0")
