"""Files on a CD or DVD with UDF, by which media of Windows are read: ECMA-167 (3rd edition) and OSTA's UDF 1.02, of one
partition without a map of its own. All of it is foreign, and nothing of it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vmgen_build.limits import MEDIUM_FOLDER

SECTOR = 2048

_ANCHOR = 256
"""The sector of the anchor (ECMA-167, 3/8.4.2.1)."""

_MOST = 64
"""Descriptors of a volume, and extents of a file, that are looked at."""

_TAGS = {"anchor": 2, "partition": 5, "volume": 6, "files": 256, "name": 257, "entry": 261, "extended": 266}
_FOLDER = 4
_RECORDED = (1 << 30) - 1
"""Of an extent's length; the two bits above say that it holds nothing."""


@dataclass(frozen=True, slots=True)
class UdfFile:
    """extents: (byte of the image, bytes), in the file's order; those that hold nothing have None."""

    size: int
    extents: tuple[tuple[int | None, int], ...]
    is_folder: bool
    embedded: bytes | None = None


class Udf:
    """An image, open. Raises ValueError for what has no such file system, and where that is damaged; OSError."""

    def __init__(self, image: BinaryIO) -> None:
        self._image = image
        anchor = self._described(_ANCHOR * SECTOR, "anchor")
        partition, volume = self._volume(_number(anchor, 20), _number(anchor, 16) // SECTOR)
        self._start = _number(partition, 188) * SECTOR
        if _number(volume, 212) != SECTOR:
            raise ValueError("its blocks are no sectors of a CD")
        files = self._described(self._at(_number(volume, 252)), "files")
        self._root = self._entry(_number(files, 404))

    def find(self, path: str) -> UdfFile | None:
        """path: with / between its parts, whose letters may be of either case; None where there is none."""
        found = self._root
        for part in path.split("/"):
            block = next((block for name, block in self._names(found) if name.lower() == part.lower()), None)
            if block is None:
                return None
            found = self._entry(block)
        return found

    def read(self, file: UdfFile, offset: int, size: int) -> bytes:
        """What the file has there; fewer bytes where it ends."""
        if file.embedded is not None:
            return file.embedded[offset : offset + size]
        found, skip = bytearray(), offset
        for place, length in file.extents:
            if skip < length and len(found) < size:
                wanted = min(length - skip, size - len(found))
                found += bytes(wanted) if place is None else self._bytes(place + skip, wanted)
            skip = max(0, skip - length)
        return bytes(found[: max(0, file.size - offset)])

    def _volume(self, sector: int, sectors: int) -> tuple[bytes, bytes]:
        """The descriptors of its partition and of its logical volume."""
        found: dict[int, bytes] = {}
        for number in range(min(sectors, _MOST)):
            data = self._bytes((sector + number) * SECTOR, SECTOR)
            found.setdefault(_number(data, 0, 2), data)
        try:
            return found[_TAGS["partition"]], found[_TAGS["volume"]]
        except KeyError as error:
            raise ValueError("it has no volume") from error

    def _entry(self, block: int) -> UdfFile:
        data = self._described(self._at(block), "entry", "extended")
        head, lengths = (176, 168) if _number(data, 0, 2) == _TAGS["entry"] else (216, 208)
        begin = head + _number(data, lengths)
        area = data[begin : begin + _number(data, lengths + 4)]
        size, kind, is_folder = _number(data, 56, 8), _number(data, 34, 2) & 7, data[27] == _FOLDER
        if kind == 3:
            return UdfFile(size, (), is_folder, area[:size])
        if kind > 1:
            raise ValueError("a file of it lies in a way that is not known")
        extents = tuple(self._extents(area, 16 if kind else 8))
        return UdfFile(size, extents, is_folder)

    def _extents(self, area: bytes, step: int) -> Iterator[tuple[int | None, int]]:
        """step: bytes of a descriptor."""
        if len(area) // step > _MOST:
            raise ValueError("a file of it lies in too many pieces")
        for at in range(0, len(area) - step + 1, step):
            length, block = _number(area, at), _number(area, at + 4)
            yield None if length > _RECORDED else self._at(block), length & _RECORDED

    def _names(self, folder: UdfFile) -> Iterator[tuple[str, int]]:
        """Each name in the folder, and the block of its entry."""
        if not folder.is_folder:
            return
        if folder.size > MEDIUM_FOLDER.amount:
            raise ValueError(f"of a folder {MEDIUM_FOLDER.exceeded}")
        data, at = self.read(folder, 0, folder.size), 0
        while at + 38 <= len(data):
            if _number(data, at, 2) != _TAGS["name"]:
                raise ValueError("a folder of it is damaged")
            length, more = data[at + 19], _number(data, at + 36, 2)
            begin = at + 38 + more
            if not data[at + 18] & 0x0C:
                yield _text(data[begin : begin + length]), _number(data, at + 24)
            at += (38 + length + more + 3) & ~3

    def _described(self, at: int, *kinds: str) -> bytes:
        data = self._bytes(at, SECTOR)
        if _number(data, 0, 2) not in [_TAGS[kind] for kind in kinds]:
            raise ValueError(f"it has no {kinds[0]} where one must be")
        return data

    def _at(self, block: int) -> int:
        """Of a block of the partition, in the image."""
        return self._start + block * SECTOR

    def _bytes(self, at: int, size: int) -> bytes:
        self._image.seek(at)
        data = self._image.read(size)
        if len(data) != size:
            raise ValueError("it is cut off")
        return data


def _number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _text(data: bytes) -> str:
    """Of a name: 8 or 16 bits for a character (UDF 1.02, 2.1.1)."""
    return data[1:].decode("utf-16-be" if data[:1] == b"\x10" else "latin-1", "replace")
