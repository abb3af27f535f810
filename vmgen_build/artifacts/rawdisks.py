"""The disks in an artifact of others, as raw images without a name that confined programs may open.

What a disk is follows here from its first bytes, which a guest may have written: it is only looked at. What leads to
other files is refused (disk.convert), and the programs that read it reach no others (host.confined). All that is
written for it has no name, and is gone with this process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, cast

from vmgen_build.artifacts.deadline import Deadline
from vmgen_build.artifacts.disk.convert import opened, raw_in, readable
from vmgen_build.artifacts.kinds import Kind, form_of_disk, opened_plain
from vmgen_build.artifacts.ova.tar import Member, MemberReader
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.tarstream import TarStream, exactly
from vmgen_build.artifacts.vma.read import images_of_vma
from vmgen_build.host.confined import check_reserve, lent
from vmgen_build.limits import DISK_SIZE, DRIVES, UNPACKED, Limit

_DRIVERS = {"qcow2": "qcow2", "vmdk": "vmdk", "vhdx": "vhdx", "vhd": "vpc", "raw": "raw"}
"""Kind of a file -> its format, as qemu-img names it."""

_IN_A_TAR = ("ova", "box", "incus-vm", "tar")
WITH_DISKS = (*_DRIVERS, *_IN_A_TAR, "vma")
"""Kinds of files that hold disks, or may."""

_HEAD = 2048
_CHUNK = 1 << 20


@contextmanager
def raw_disks(path: Path, kind: Kind, folder: Path, deadline: Deadline) -> Iterator[Sequence[IO[bytes]]]:
    """None where it holds no disk. folder: one with room for what they hold.

    Raises ValueError, BuildError where it is damaged, leads to other files, or is more than a limit allows; OSError,
    HostError.
    """
    with ExitStack() as undo:
        taking = _DiskTaking(path, folder, undo, deadline)
        if kind.name in _DRIVERS and not kind.compression:
            source = undo.enter_context(opened(path))
            yield [taking.raw(undo.enter_context(readable(source, folder)), kind.name)]
            return
        with opened_plain(path) as plain:
            yield list(taking.all(cast(IO[bytes], _InTime(plain, deadline)), kind.name))


@contextmanager
def unpacked(path: Path, folder: Path, deadline: Deadline) -> Iterator[IO[bytes]]:
    """The file without its compression, as one that confined programs may open. Raises ValueError, OSError, HostError,
    BuildError."""
    with opened_plain(path) as plain, nameless(folder) as goal:
        _Filling(folder, deadline).fill(goal, plain.read, UNPACKED)
        yield goal


@contextmanager
def piece_of(file: IO[bytes], member: Member, folder: Path, deadline: Deadline) -> Iterator[IO[bytes]]:
    """A part of a file as one of its own. Raises ValueError, OSError, BuildError."""
    with nameless(folder) as goal:
        _Filling(folder, deadline).fill(goal, MemberReader(file, member).read, UNPACKED)
        if os.fstat(goal.fileno()).st_size < member.size:
            raise ValueError("a file in it ends before its size")
        yield goal


@contextmanager
def nameless(folder: Path) -> Iterator[IO[bytes]]:
    """A new file, to be opened by confined programs too. Raises OSError."""
    with TemporaryFile(dir=folder, buffering=0) as file, lent(file.fileno()):
        yield cast(IO[bytes], file)


class _DiskTaking:
    def __init__(self, path: Path, folder: Path, undo: ExitStack, deadline: Deadline) -> None:
        self._path, self._folder, self._undo = path, folder, undo
        self._filling = _Filling(folder, deadline)

    def raw(self, source: IO[bytes], kind: str) -> IO[bytes]:
        """source: one that confined programs may open."""
        if kind == "raw":
            return source
        goal = self._undo.enter_context(nameless(self._folder))
        raw_in(cast(BinaryIO, source), Disk("disk", self._path, _DRIVERS[kind]), goal, self._folder)
        return goal

    def all(self, plain: IO[bytes], kind: str) -> Iterator[IO[bytes]]:
        """plain: the artifact without its compression."""
        if kind == "vma":
            yield from images_of_vma(plain, self._folder, self._new).values()
        elif kind in _IN_A_TAR:
            yield from self._members(TarStream(plain))
        else:
            yield self.raw(self._copied(plain.read, DISK_SIZE if kind == "raw" else UNPACKED), kind)

    def _members(self, tar: TarStream) -> Iterator[IO[bytes]]:
        count = 0
        for entry in tar.entries():
            if not entry.is_file:
                continue
            head = exactly(tar, _HEAD)
            if form := form_of_disk(entry.name, head):
                count += 1
                if count > DRIVES.amount:
                    raise ValueError(f"it has too many disks: {DRIVES.exceeded}")
                yield self.raw(self._copied(_After(head, tar).read, UNPACKED), form)

    def _copied(self, read: Callable[[int], bytes | None], limit: Limit) -> IO[bytes]:
        goal = self._undo.enter_context(nameless(self._folder))
        self._filling.fill(goal, read, limit)
        return goal

    def _new(self, size: int) -> IO[bytes]:
        file = self._undo.enter_context(nameless(self._folder))
        os.ftruncate(file.fileno(), size)
        return file


class _After:
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, rest: TarStream) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes | None:
        head, self._head = self._head, b""
        return head or self._rest.read(size)


class _InTime:
    """A stream that is read no longer than may be."""

    def __init__(self, plain: IO[bytes], deadline: Deadline) -> None:
        self._plain, self._deadline = plain, deadline

    def read(self, size: int = -1) -> bytes:
        """Raises ValueError."""
        self._deadline.check()
        return self._plain.read(size)


class _Filling:
    """folder: that of the new files."""

    def __init__(self, folder: Path, deadline: Deadline) -> None:
        self._folder, self._deadline = folder, deadline

    def fill(self, goal: IO[bytes], read: Callable[[int], bytes | None], limit: Limit) -> None:
        """Sparse, from where it is empty. Raises ValueError, OSError, BuildError."""
        at = 0
        while chunk := read(_CHUNK):
            self._deadline.check()
            if at + len(chunk) > limit.amount:
                raise ValueError(f"what is in it is too large: {limit.exceeded}")
            check_reserve("taking a disk out of the image", self._folder)
            if chunk.strip(b"\0"):
                os.pwrite(goal.fileno(), chunk, at)
            at += len(chunk)
        os.ftruncate(goal.fileno(), at)
