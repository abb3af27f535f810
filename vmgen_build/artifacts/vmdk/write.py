"""A raw disk image to a stream-optimized VMDK: only its data is read, and deflated on all cores."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import deflate

from vmgen_build.artifacts.pool import BATCH, in_order
from vmgen_build.artifacts.progress import Progress
from vmgen_build.artifacts.vmdk import format as vmdk
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, is_full, no_room, whole_file
from vmgen_build.text import size as in_words

ADAPTERS = ("lsilogic", "ide")

_LEVEL = 1
"""libdeflate's: a Debian root comes out 5 % larger than with zlib's default, in a sixth of its time."""

_ZERO = bytes(vmdk.GRAIN)
_LAST_SECTOR = (1 << 32) - 1


def write_vmdk(
    raw: Path,
    goal: Path,
    *,
    adapter: str = "lsilogic",
    ident: str = "",
    progress: Progress | None = None,
    workers: int | None = None,
) -> Written:
    """Write the disk image `raw` to `goal`. Holes and zeros take no room; the capacity stays as it is, to the sector.

    adapter: "ide" for a disk of an IDE bus, else "lsilogic", which stands for every other one. ident: as of
    vmdk.descriptor. The bytes depend on the content, the goal's name, adapter, ident and libdeflate's version, not on
    `workers`, by default one per core. progress: of the disk, whose size is the last call. Raises
    HostError (unreadable source, disk full, folder not writable), BuildError (no whole number of sectors, too large);
    then there is no new file, and an old `goal` stands as it was.
    """
    if adapter not in ADAPTERS:
        raise ValueError(f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}")
    with _opened(raw) as source:
        try:
            with whole_file(goal) as file:
                stream = _VmdkFile(file, vmdk.Header(source.size // vmdk.SECTOR))
                stream.begin(vmdk.descriptor(goal.name, stream.capacity, adapter, ident))
                for batch in in_order(source.deflated, source.batches(), workers):
                    stream.add(batch)
                    if progress:
                        progress(min(source.size, (batch.last + 1) * vmdk.GRAIN))
                stream.end()
        except OSError as error:
            if is_full(error):
                raise no_room(goal, source.taken(), at_most=True) from error
            raise HostError(f"cannot write {goal}: {error.strerror}; choose another folder with --output") from error
        if progress:
            progress(source.size)
    return Written(goal, stream.size, stream.digest.hexdigest())


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of grains (vmdk.grain_record) of one grain table, by number; those that are all zero are left out."""

    last: int
    records: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class _RawImage:
    path: Path
    fd: int
    size: int

    def taken(self) -> int:
        """Bytes of its disk, at most its size: a VMDK of it takes no more."""
        return min(self.size, os.fstat(self.fd).st_blocks * 512)

    def batches(self) -> Iterator[range]:
        """Numbers of the grains that hold data, at most BATCH at a time and all of one grain table."""
        for first, stop in self._extents():
            while first < stop:
                part = min(stop, (first // BATCH + 1) * BATCH)
                yield range(first, part)
                first = part
        if _size(self.path, self.fd) != self.size:
            raise self._changed()

    def deflated(self, grains: range) -> _Batch:
        """Runs in a worker."""
        records = []
        for number in grains:
            data = self._read(number)
            if data != _ZERO:
                records.append((number, vmdk.grain_record(number, bytes(deflate.zlib_compress(data, _LEVEL)))))
        return _Batch(grains[-1], records)

    def _extents(self) -> Iterator[tuple[int, int]]:
        """First grain with data, and the one behind the last; by lseek(2), each grain once."""
        position = 0
        while position < self.size:
            with _reading(self.path):
                try:
                    start = os.lseek(self.fd, position, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        return
                    raise
                end = min(self.size, os.lseek(self.fd, start, os.SEEK_HOLE))
            first, stop = start // vmdk.GRAIN, -(-end // vmdk.GRAIN)
            yield first, stop
            position = stop * vmdk.GRAIN

    def _read(self, number: int) -> bytes:
        """A grain, the last one filled up with zeros."""
        at = number * vmdk.GRAIN
        wanted = min(vmdk.GRAIN, self.size - at)
        with _reading(self.path):
            data = os.pread(self.fd, wanted, at)
        if len(data) != wanted:
            raise self._changed()
        return data.ljust(vmdk.GRAIN, b"\0")

    def _changed(self) -> BuildError:
        return BuildError(f"the size of {self.path} changed while it was read; build again")


class _VmdkFile:
    """The VMDK as it grows: its size, its digest, the grain table under way and the directory."""

    def __init__(self, file: BinaryIO, header: vmdk.Header) -> None:
        self.size, self.digest = 0, hashlib.sha256()
        self._file, self._header = file, header
        self._directory = array("I", bytes(4 * header.tables))
        self._table, self._number = array("I"), -1

    @property
    def capacity(self) -> int:
        """Sectors."""
        return self._header.capacity

    def begin(self, text: bytes) -> None:
        """text: the descriptor."""
        self._put((self._header.packed() + text).ljust(vmdk.OVERHEAD * vmdk.SECTOR, b"\0"))

    def add(self, batch: _Batch) -> None:
        if not batch.records:
            return
        number = batch.last // vmdk.ENTRIES
        if number != self._number:
            self._end_table()
            self._table, self._number = array("I", bytes(4 * vmdk.ENTRIES)), number
        sector = self._sector()
        for grain, record in batch.records:
            self._table[grain % vmdk.ENTRIES] = sector
            sector += len(record) // vmdk.SECTOR
        self._put(b"".join(record for _, record in batch.records))

    def end(self) -> None:
        self._end_table()
        directory = self._sector() + 1
        self._put(vmdk.marker(vmdk.GRAIN_DIRECTORY, self._header.directory_sectors))
        self._put(vmdk.table_bytes(self._directory))
        self._put(vmdk.marker(vmdk.FOOTER, 1) + self._header.with_directory(directory).packed())
        self._put(vmdk.marker(vmdk.END_OF_STREAM, 0))

    def _end_table(self) -> None:
        if self._number < 0:
            return
        self._directory[self._number] = self._sector() + 1
        self._put(vmdk.marker(vmdk.GRAIN_TABLE, vmdk.TABLE_SECTORS) + vmdk.table_bytes(self._table))

    def _sector(self) -> int:
        return self.size // vmdk.SECTOR

    def _put(self, data: bytes) -> None:
        self.size += len(data)
        if self._sector() > _LAST_SECTOR:
            raise BuildError(f"the disk is too full for a VMDK: its file would be larger than {in_words(2 << 40)}")
        self._file.write(data)
        self.digest.update(data)


@contextmanager
def _opened(raw: Path) -> Iterator[_RawImage]:
    with _reading(raw):
        fd = os.open(raw, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise HostError(f"cannot read {raw}: it is neither a file nor a block device")
        size = _size(raw, fd)
        if size == 0 or size % vmdk.SECTOR:
            raise BuildError(
                f"{raw} has {size} bytes, and a disk has whole sectors of {vmdk.SECTOR} bytes, one or more"
            )
        if size > vmdk.LARGEST_DISK:
            raise BuildError(f"{raw} has {in_words(size)}, and a VMDK holds at most {in_words(vmdk.LARGEST_DISK)}")
        yield _RawImage(raw, fd, size)
    finally:
        os.close(fd)


def _size(path: Path, fd: int) -> int:
    with _reading(path):
        return os.lseek(fd, 0, os.SEEK_END)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What cannot be read is told apart from what cannot be written."""
    try:
        yield
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
