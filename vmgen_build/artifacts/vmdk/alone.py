"""Whether a VMDK is a disk of one file: a sparse extent that holds its own descriptor, and leads to no other file.

VMware's "Virtual Disk Format 5.0". A descriptor that stands alone names the files of its extents, and a delta disk its
parent: such a one is refused before any program reads it.
"""

from __future__ import annotations

import re
import struct
from typing import IO

from vmgen_build.artifacts.vmdk.format import SECTOR
from vmgen_build.limits import DISK_SIZE, VMDK_DESCRIPTOR

_HEAD = struct.Struct("<4sIIQQQQ")
"""magic, version, flags, capacity, grain size, descriptor's offset and size; offsets and sizes in sectors."""

_SPARSE = b"KDMV"
_KINDS = ("monolithicSparse", "streamOptimized")
_EXTENT = re.compile(r"(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\S+)")
_NO_PARENT = "ffffffff"

_DESCRIPTOR = 1
_LOOKED_AT = 20
"""Where QEMU reads the descriptor of a sparse extent, whatever its header says, and how far (block/vmdk.c, DESC_SIZE);
in sectors."""

_PARENT = b"parentfilenamehint"
"""QEMU takes it anywhere in a line."""

_ITS_PARENT = "it leads to another file, its parent; give one without (qemu-img convert makes one)"


def check_alone(file: IO[bytes]) -> int:
    """The size of the disk in bytes. file: one that can be sought. Raises ValueError that says what is refused."""
    file.seek(0)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(_SPARSE):
        raise ValueError("it is no VMDK of one file: a descriptor that stands alone leads to other files")
    _, version, _, capacity, _, offset, sectors = _HEAD.unpack(head)
    if version not in (1, 2, 3):
        raise ValueError(f"it is a VMDK of version {version}, and versions 1 to 3 are read")
    if not 0 < capacity * SECTOR <= DISK_SIZE.amount:
        why = DISK_SIZE.exceeded if capacity else "there is nothing to read"
        raise ValueError(f"its disk has {capacity} sectors: {why}")
    if not offset or not sectors:
        raise ValueError("it is an extent without a descriptor; give a VMDK of one file (qemu-img convert makes one)")
    if offset != _DESCRIPTOR:
        raise ValueError(f"its descriptor is not where programs look for it, in sector {_DESCRIPTOR}")
    if sectors * SECTOR > VMDK_DESCRIPTOR.amount:
        raise ValueError(f"its descriptor has {sectors} sectors: {VMDK_DESCRIPTOR.exceeded}")
    file.seek(offset * SECTOR)
    data = file.read(max(sectors, _LOOKED_AT) * SECTOR)
    if not data:
        raise ValueError("it ends before its descriptor")
    if _PARENT in data.lower():
        raise ValueError(_ITS_PARENT)
    _check_descriptor(data[: sectors * SECTOR].partition(b"\0")[0].decode("utf-8", "replace"))
    return int(capacity) * SECTOR


def _check_descriptor(text: str) -> None:
    fields = {key.strip().lower(): value.strip().strip('"') for key, _, value in map(_split, text.splitlines())}
    if fields.get("createtype") not in _KINDS:
        raise ValueError(f"its createType is none of {' and '.join(_KINDS)}; it may lead to other files")
    if fields.get("parentcid", _NO_PARENT).lower() != _NO_PARENT:
        raise ValueError(_ITS_PARENT)
    if any(key.startswith(("encryption", "changetrackpath")) for key in fields):
        raise ValueError("it is encrypted or tracks changes in another file; give a plain one")
    extents = [match[1] for line in text.splitlines() if (match := _EXTENT.match(line.strip()))]
    if extents != ["SPARSE"]:
        raise ValueError("it is not one sparse extent; its descriptor may lead to other files")


def _split(line: str) -> tuple[str, str, str]:
    return line.partition("=")
