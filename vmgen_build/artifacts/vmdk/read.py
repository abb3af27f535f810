"""Reading a stream-optimized VMDK from its first byte to its last, strictly: each rule of the format is checked.

Only front to back, so that it also reads a member of a tar that is being streamed.
"""

from __future__ import annotations

import os
import re
import zlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from vmgen_build.artifacts.pool import BATCH, in_order
from vmgen_build.artifacts.progress import Progress
from vmgen_build.artifacts.vmdk import format as vmdk
from vmgen_build.artifacts.vmdk.format import VmdkError
from vmgen_build.errors import HostError
from vmgen_build.host.files import is_full
from vmgen_build.limits import DISK_CONTENT

_ZERO = bytes(vmdk.GRAIN)


@dataclass(frozen=True, slots=True)
class VmdkInfo:
    """capacity: bytes of the disk; size: bytes of the file; grains: how many are in it; adapter: "lsilogic", "ide"."""

    capacity: int
    size: int
    grains: int
    adapter: str


def check_vmdk(source: Path | IO[bytes], *, workers: int | None = None) -> VmdkInfo:
    """Read it whole, and inflate every grain. source: a file, or a buffered stream that begins and ends with the
    VMDK, as tarfile.TarFile.extractfile() gives one.

    Raises VmdkError that says what is wrong at which byte, HostError where the file cannot be read.
    """
    return _read(source, None, None, workers)


def extract(
    source: Path | IO[bytes], raw: Path, *, progress: Progress | None = None, workers: int | None = None
) -> VmdkInfo:
    """Write the disk that it holds to the new file `raw`, sparse; all that check_vmdk checks is checked.

    progress: of the disk's bytes; the last call has its size. Raises as check_vmdk does, and HostError where `raw`
    exists or cannot be written (disk full); a `raw` that was begun is removed. Not synced: for throwaway copies.
    """
    try:
        fd = os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(f"cannot write {raw}: {error.strerror}") from error
    try:
        return _read(source, _Target(raw, fd), progress, workers)
    except BaseException:
        raw.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _Grain:
    """at: byte of the file where its data begins."""

    number: int
    at: int
    deflated: bytes


@dataclass(frozen=True, slots=True)
class _Target:
    path: Path
    fd: int

    def resize(self, size: int) -> None:
        try:
            os.ftruncate(self.fd, size)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, data: bytes, at: int) -> None:
        try:
            while data:
                done = os.pwrite(self.fd, data, at)
                data, at = data[done:], at + done
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> HostError:
        if not is_full(error):
            return HostError(f"cannot write {self.path}: {error.strerror}")
        return HostError(f"the disk of {self.path.parent} is full; make room there for a copy of the virtual disk")


def _read(source: Path | IO[bytes], target: _Target | None, progress: Progress | None, workers: int | None) -> VmdkInfo:
    name = source if isinstance(source, Path) else getattr(source, "name", "the VMDK")
    with ExitStack() as undo:
        try:
            file = undo.enter_context(source.open("rb", buffering=1 << 20)) if isinstance(source, Path) else source
            stream = _VmdkParts(file)
            stream.begin()
            capacity = stream.header.capacity * vmdk.SECTOR
            if target:
                target.resize(capacity)
            for last in in_order(partial(_inflate, capacity, target), stream.batches(), workers):
                if progress:
                    progress(min(capacity, (last + 1) * vmdk.GRAIN))
        except VmdkError as error:
            raise VmdkError(f"{name}: {error}") from error
        except OSError as error:
            raise HostError(f"cannot read {name}: {error.strerror or error}") from error
    if progress:
        progress(capacity)
    return VmdkInfo(capacity, stream.position, stream.grains, stream.adapter)


def _inflate(capacity: int, target: _Target | None, batch: list[_Grain]) -> int:
    """Runs in a worker. The number of the last grain."""
    for grain in batch:
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(grain.deflated, vmdk.GRAIN + 1)
        except zlib.error as error:
            raise _wrong(grain.at, f"grain {grain.number} does not inflate: {error}") from error
        if not inflater.eof or inflater.unused_data or len(data) != vmdk.GRAIN:
            raise _wrong(grain.at, f"grain {grain.number} does not inflate to {vmdk.GRAIN} bytes")
        at = grain.number * vmdk.GRAIN
        if any(data[capacity - at :]):
            raise _wrong(grain.at, f"grain {grain.number} holds data behind the end of the disk")
        if target and data != _ZERO:
            target.write(data[: capacity - at], at)
    return batch[-1].number


class _VmdkParts:
    """The parts of the file in their order. Every `take` moves on; nothing is read twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.position, self.grains, self.adapter = 0, 0, ""
        self._last = -1
        self._table, self._number = array("I"), -1

    def begin(self) -> None:
        """The header, and the descriptor."""
        self.header = self._header()
        if self.header.directory != vmdk.GD_AT_END:
            raise _wrong(0, "the grain directory is not at the end")
        area = self._take((self.header.overhead - 1) * vmdk.SECTOR)
        text, _, rest = area.partition(b"\0")
        if any(rest) or len(text) > self.header.descriptor_sectors * vmdk.SECTOR:
            raise _wrong(vmdk.SECTOR, "there is more than the descriptor before the first grain")
        self.adapter = _adapter(text.decode("utf-8", "replace"), self.header.capacity)
        self._directory = array("I", bytes(4 * self.header.tables))

    def batches(self) -> Iterator[list[_Grain]]:
        """All grains; behind the last, all the rest of the file is checked."""
        batch: list[_Grain] = []
        while True:
            at = self.position
            sector = self._take(vmdk.SECTOR)
            value, size, kind = vmdk.parse_marker(sector)
            if size:
                batch.append(self._grain(at, value, size, sector))
                if len(batch) == BATCH:
                    yield batch
                    batch = []
            elif kind == vmdk.GRAIN_TABLE:
                self._end_table(at, sector)
            elif kind == vmdk.GRAIN_DIRECTORY:
                break
            else:
                raise _wrong(
                    at, f"a marker of type {kind} stands where a grain, a grain table or the directory must be"
                )
        if batch:
            yield batch
        self._end(at, sector)

    def _grain(self, at: int, sector_of_disk: int, size: int, first: bytes) -> _Grain:
        number, odd = divmod(sector_of_disk, vmdk.GRAIN_SECTORS)
        if odd or not self._last < number < self.header.grains:
            raise _wrong(at, f"a grain for sector {sector_of_disk} of the disk cannot come here")
        if size > vmdk.LARGEST_DEFLATED:
            raise _wrong(at, f"grain {number} has {size} bytes, more than {vmdk.LARGEST_DEFLATED}")
        if number // vmdk.ENTRIES != self._number:
            if self._number >= 0:
                raise _wrong(at, f"grain table {self._number} is missing")
            self._table, self._number = array("I", bytes(4 * vmdk.ENTRIES)), number // vmdk.ENTRIES
        head = vmdk.GRAIN_MARKER_BYTES
        record = first + self._take(-(-(head + size) // vmdk.SECTOR) * vmdk.SECTOR - vmdk.SECTOR)
        if any(record[head + size :]):
            raise _wrong(at, f"the padding behind grain {number} is not zero")
        self._table[number % vmdk.ENTRIES] = at // vmdk.SECTOR
        self._last = number
        self.grains += 1
        if self.grains * vmdk.GRAIN > DISK_CONTENT.amount:
            raise _wrong(at, f"the disk holds too much: {DISK_CONTENT.exceeded}")
        return _Grain(number, at + head, record[head : head + size])

    def _end_table(self, at: int, sector: bytes) -> None:
        if self._number < 0:
            raise _wrong(at, "there is a grain table without grains")
        self._same(at, sector, vmdk.marker(vmdk.GRAIN_TABLE, vmdk.TABLE_SECTORS), "the marker of a grain table")
        self._directory[self._number] = self.position // vmdk.SECTOR
        table = vmdk.table_bytes(self._table)
        self._same(self.position, self._take(len(table)), table, f"grain table {self._number}")
        self._number = -1

    def _end(self, at: int, sector: bytes) -> None:
        if self._number >= 0:
            raise _wrong(at, f"grain table {self._number} is missing")
        marker = vmdk.marker(vmdk.GRAIN_DIRECTORY, self.header.directory_sectors)
        self._same(at, sector, marker, "the marker of the grain directory")
        footer = self.header.with_directory(self.position // vmdk.SECTOR).packed()
        for part, name in (
            (vmdk.table_bytes(self._directory), "the grain directory"),
            (vmdk.marker(vmdk.FOOTER, 1), "the marker of the footer"),
            (footer, "the footer"),
            (vmdk.marker(vmdk.END_OF_STREAM, 0), "the end-of-stream marker"),
        ):
            self._same(self.position, self._take(len(part)), part, name)
        if self._file.read(1):
            raise _wrong(self.position, "there are bytes behind the end-of-stream marker")

    def _header(self) -> vmdk.Header:
        sector = self._take(vmdk.SECTOR)
        try:
            return vmdk.parse_header(sector)
        except VmdkError as error:
            raise _wrong(0, str(error)) from error

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise _wrong(self.position + len(data), "the file ends before the end-of-stream marker")
        self.position += size
        return data

    def _same(self, at: int, found: bytes, wanted: bytes, name: str) -> None:
        if found != wanted:
            raise _wrong(at, f"{name} is not what belongs here")


def _adapter(text: str, capacity: int) -> str:
    found = re.search(r'^ddb\.adapterType = "(\w+)"$', text, re.MULTILINE)
    extents = re.findall(r'^(?:RW|RDONLY) (\d+) SPARSE ".*"$', text, re.MULTILINE)
    if found is None or 'createType="streamOptimized"' not in text.splitlines():
        raise _wrong(vmdk.SECTOR, "the descriptor lacks createType streamOptimized, or an adapterType")
    if extents != [str(capacity)]:
        raise _wrong(vmdk.SECTOR, f"the descriptor does not name one extent of {capacity} sectors")
    return found[1]


def _wrong(at: int, what: str) -> VmdkError:
    return VmdkError(f"at byte {at}: {what}")
