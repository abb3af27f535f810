"""The header of a qcow2 image, checked before any program reads the image: QEMU's docs/interop/qcow2.txt.

What leads to other files, or asks for more than plain clusters, is refused: a backing file, an external data file,
encryption, a feature that is not known here.
"""

from __future__ import annotations

import os
import struct
from typing import IO

from vmgen_build.limits import DISK_SIZE, IMAGE_SNAPSHOTS

_MAGIC = b"QFI\xfb"
_HEAD = struct.Struct(">4sIQIIQIIQQIIQ")
"""magic, version, backing offset and size, cluster bits, size, encryption, L1 size and offset, refcount table's offset
and clusters, snapshots and their offset."""

_MORE = struct.Struct(">QQQII")
"""Of version 3: features that are incompatible, compatible, cleared by who does not know them; refcount order, length
of the header."""

_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = 1, 2, 4, 8, 16
_KNOWN_FEATURES = _DIRTY | _COMPRESSION | _EXTENDED_L2
_BACKING_FORMAT, _DATA_FILE_NAME, _ENCRYPTION_HEADER = 0xE2792ACA, 0x44415441, 0x0537BE77
_REFUSED_EXTENSIONS = {
    _BACKING_FORMAT: "the format of a backing file",
    _DATA_FILE_NAME: "the name of a data file",
    _ENCRYPTION_HEADER: "a header of encryption",
}
_MOST_EXTENSIONS = 64
_CLUSTER_BITS = range(9, 22)
"""From 512 bytes to 2 MiB: block/qcow2.h, MIN_CLUSTER_BITS and MAX_CLUSTER_BITS."""


def check_qcow2(file: IO[bytes]) -> int:
    """The size of the disk in bytes. file: one that can be sought. Raises ValueError that says what is refused."""
    file.seek(0)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        raise ValueError("it is no qcow2 image")
    _, version, backing, backing_size, bits, size, crypt, *_, snapshots, _ = _HEAD.unpack(head)
    if version not in (2, 3):
        raise ValueError(f"it is qcow2 of version {version}, and versions 2 and 3 are read")
    if backing or backing_size:
        raise ValueError("it leads to another file, its backing file; give one without (qemu-img convert makes one)")
    if crypt:
        raise ValueError("it is encrypted; give one that is not (qemu-img convert makes one)")
    if bits not in _CLUSTER_BITS:
        raise ValueError(f"its clusters have 2^{bits} bytes, and 2^9 to 2^21 are read")
    if not 0 < size <= DISK_SIZE.amount:
        raise ValueError(f"its disk has {size} bytes: {DISK_SIZE.exceeded if size else 'there is nothing to read'}")
    if snapshots > IMAGE_SNAPSHOTS.amount:
        raise ValueError(f"it has {snapshots} snapshots: {IMAGE_SNAPSHOTS.exceeded}")
    _check_extensions(file, _header_length(file, version), 1 << bits)
    return int(size)


def _header_length(file: IO[bytes], version: int) -> int:
    if version == 2:
        return _HEAD.size
    more = file.read(_MORE.size)
    if len(more) < _MORE.size:
        raise ValueError("it ends within its header")
    features, _, _, order, length = _MORE.unpack(more)
    if features & _DATA_FILE:
        raise ValueError("its data lie in another file; give one that holds all (qemu-img convert makes one)")
    if features & _CORRUPT:
        raise ValueError("it is marked as corrupt; repair it first (qemu-img check -r all)")
    if odd := features & ~_KNOWN_FEATURES:
        raise ValueError(f"it needs features that are not known here ({odd:#x}); qemu-img convert makes one without")
    if order > 6 or not _HEAD.size + _MORE.size <= length <= 1 << 9 or length % 8:
        raise ValueError("its header has values that no qcow2 image has")
    return int(length)


def _check_extensions(file: IO[bytes], at: int, cluster: int) -> None:
    """Type and length of each, then its data, to a multiple of 8; the last has type 0. All lie in the first cluster."""
    end = os.fstat(file.fileno()).st_size
    for _ in range(_MOST_EXTENSIONS):
        file.seek(at)
        head = file.read(8)
        if at + 8 > min(cluster, end) or len(head) < 8:
            return
        kind, length = struct.unpack(">II", head)
        if kind == 0:
            return
        if kind in _REFUSED_EXTENSIONS:
            raise ValueError(f"it names {_REFUSED_EXTENSIONS[kind]}; qemu-img convert makes one without")
        at += 8 + -(-length // 8) * 8
        if at > cluster:
            raise ValueError("an extension of its header is longer than its first cluster")
    raise ValueError(f"its header has more than {_MOST_EXTENSIONS} extensions")
