"""The disks of an archive of a virtual machine, which is foreign: every number of it is looked at before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from vmgen_build.artifacts.disk.convert import new_image
from vmgen_build.artifacts.vma import format as form
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import check_reserve
from vmgen_build.limits import DISK_SIZE, VMA_HEADER

_BLOCKS = form.CLUSTER // form.BLOCK


def extract_vma(source: IO[bytes], goals: Mapping[str, tuple[Path, int]]) -> None:
    """Make new sparse raw images of the archive's disks. source: the archive, not compressed. goals: name of a disk ->
    its image, and the most bytes that it may have.

    Raises BuildError where the archive is damaged, has other disks or a larger one, HostError.
    """
    try:
        with ExitStack() as files:
            _Extraction(source, _Goals(goals, files), next(iter(goals.values()))[0].parent).run()
    except ValueError as error:
        raise BuildError(f"the archive is damaged: {error}") from error
    except OSError as error:
        raise HostError(f"cannot write the disks of the archive: {error.strerror}; make room there") from error


def images_of_vma(source: IO[bytes], folder: Path, new: Callable[[int], IO[bytes]]) -> Mapping[str, IO[bytes]]:
    """Raw images of all disks that the archive has, by name. folder: that of the images. new: makes one of so many
    bytes. Raises ValueError where the archive is damaged, OSError."""
    images = _Images(new)
    _Extraction(source, images, folder).run()
    return images.made


class _Goals:
    """Known disks, each in a new file under its name."""

    def __init__(self, goals: Mapping[str, tuple[Path, int]], files: ExitStack) -> None:
        self._goals, self._files = goals, files

    def check(self, names: Collection[str]) -> None:
        if absent := self._goals.keys() - names:
            raise ValueError(f"it has no disk '{min(absent)}'")
        if others := set(names) - self._goals.keys():
            raise ValueError(f"it has a disk {min(others)!a}, which the machine has not")

    def new(self, name: str, size: int) -> IO[bytes]:
        path, limit = self._goals[name]
        if size > limit:
            raise ValueError(f"its disk '{name}' is larger than the {limit} bytes of the machine's")
        image = self._files.enter_context(new_image(path))
        os.ftruncate(image.fileno(), size)
        return image


class _Images:
    """Whatever disks there are."""

    def __init__(self, new: Callable[[int], IO[bytes]]) -> None:
        self._new = new
        self.made: dict[str, IO[bytes]] = {}

    def check(self, names: Collection[str]) -> None:
        pass

    def new(self, name: str, size: int) -> IO[bytes]:
        if size > DISK_SIZE.amount:
            raise ValueError(f"its disk {name!a} is too large: {DISK_SIZE.exceeded}")
        self.made[name] = self._new(size)
        return self.made[name]


class _Extraction:
    """Where the clusters of each device go."""

    def __init__(self, source: IO[bytes], goals: _Goals | _Images, folder: Path) -> None:
        self._source, self._goals = source, goals
        self._sizes: dict[int, int] = {}
        self._images: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._folder = folder

    def run(self) -> None:
        ident = self._header()
        while head := self._read(form.EXTENT.size, "an extent", may_end=True):
            magic, _, count, mark, _, *clusters = form.EXTENT.unpack(head)
            if magic != form.EXTENT_MAGIC or mark != ident or not form.holds(head, form.EXTENT_MD5):
                raise ValueError("an extent begins otherwise than one does")
            if count > form.CLUSTERS * _BLOCKS or not any(clusters):
                raise ValueError("an extent is too long, or has no cluster")
            self._extent(clusters, self._read(count * form.BLOCK, "an extent"))
        for device, number in self._next.items():
            if number * form.CLUSTER < self._sizes[device]:
                raise ValueError("it ends before all clusters of its disks were there")

    def _header(self) -> bytes:
        """The mark of the archive."""
        head = self._read(form.HEAD, "its header")
        magic, version, ident, _, _, offset, size, whole = form.START.unpack_from(head)
        if magic != form.MAGIC or version != 1:
            raise ValueError("it is no archive of Proxmox VE")
        if not form.HEAD <= offset <= offset + size <= whole <= VMA_HEADER.amount:
            raise ValueError("its header has values that no archive has")
        head += self._read(whole - form.HEAD, "its header")
        if not form.holds(head, form.HEADER_MD5):
            raise ValueError("the checksum of its header is another")
        names = {}
        for number in range(1, form.TABLE):
            name, _, length, _, _ = form.DEVICE.unpack_from(head, form.DEVICES + number * form.DEVICE.size)
            if length:
                names[form.piece(head, offset, size, name).rstrip(b"\0").decode("ascii", "replace")] = number, length
        self._goals.check(names.keys())
        for name, (number, length) in names.items():
            self._open(name, number, length)
        return bytes(ident)

    def _open(self, name: str, number: int, size: int) -> None:
        self._images[number] = self._goals.new(name, size).fileno()
        self._sizes[number], self._next[number] = size, 0

    def _extent(self, clusters: list[int], blocks: bytes) -> None:
        check_reserve("the archive", self._folder)
        at = 0
        for cluster in filter(None, clusters):
            device, number, mask = cluster >> 32 & 0xFF, cluster & 0xFFFFFFFF, cluster >> 48
            if device not in self._sizes or number * form.CLUSTER >= self._sizes[device]:
                raise ValueError("a cluster lies beyond its disk")
            if number != self._next[device]:
                raise ValueError("the clusters of a disk are not in order")
            self._next[device] += 1
            for bit in range(_BLOCKS):
                if mask >> bit & 1:
                    self._put(device, number * form.CLUSTER + bit * form.BLOCK, blocks[at : at + form.BLOCK])
                    at += form.BLOCK
        if at != len(blocks):
            raise ValueError("an extent has other blocks than it says")

    def _put(self, device: int, offset: int, block: bytes) -> None:
        room = self._sizes[device] - offset
        if room <= 0 or len(block) < form.BLOCK:
            raise ValueError("a block lies beyond its disk, or is cut off")
        os.pwrite(self._images[device], block[:room], offset)

    def _read(self, size: int, what: str, may_end: bool = False) -> bytes:
        """Exactly so many bytes."""
        data = bytearray()
        while len(data) < size:
            chunk = self._source.read(size - len(data))
            if not chunk:
                break
            data += chunk
        if len(data) < size and not (may_end and not data):
            raise ValueError(f"it ends within {what}")
        return bytes(data)
