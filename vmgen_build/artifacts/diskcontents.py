"""The root file system on the disks in an artifact of others, or in a squashfs: read where it lies, never mounted.

ext2, ext3 and ext4 are read by debugfs(8), a squashfs by sqfs2tar(1), the folders of an ISO image by xorriso(1). All of
them run confined (host.confined). The root is put together of the file systems that its own fstab(5) names.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vmgen_build.artifacts.contents import RootContent, RootReading
from vmgen_build.artifacts.deadline import Deadline
from vmgen_build.artifacts.disk.convert import opened, readable
from vmgen_build.artifacts.disk.extfiles import READS, ExtFiles, ext_files
from vmgen_build.artifacts.disk.volumes import ALL_USAGES, FileSystem, Mount, disk_mounts, file_systems
from vmgen_build.artifacts.kinds import Kind, plain_name
from vmgen_build.artifacts.ova.tar import Member
from vmgen_build.artifacts.rawdisks import WITH_DISKS, piece_of, raw_disks, unpacked
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import Reach, output_confined, start_filter
from vmgen_build.host.files import folder_for_large_files
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.run import NULL, kill
from vmgen_build.limits import FINDINGS, VOLUMES

ON_DISKS = (*WITH_DISKS, "iso", "squashfs")
"""Kinds of files that hold a root in this way, or may."""

_ISO_BLOCK = 2048
_IN_ISO = re.compile(r"^File data lba: *\d+ *, *(\d{1,10}) *, *\d+ *, *(\d{1,15}) *, *'/", re.MULTILINE)
"""Of xorriso(1), "report_lba": first block and size in bytes."""

_WORDS = {
    "LVM2_member": "volumes of LVM",
    "crypto_LUKS": "an encrypted volume (LUKS)",
    "linux_raid_member": "a part of a RAID",
    "ntfs": "NTFS, of Windows",
}
"""Types of file systems, as blkid(8) names them, in others' words."""

_CHUNK = 1 << 20
_REASON = 400


def read_on_disks(path: Path, kind: Kind, *, digests: bool = False) -> RootContent:
    """digests: as of contents.read_content.

    Raises BuildError where it is damaged, leads to other files, holds no root that is read here, or is more than a
    limit allows; HostError where it cannot be read, or this host lacks a program.
    """
    folder, deadline = folder_for_large_files(), Deadline.from_now()
    reading = RootReading(deadline, digests=digests)
    try:
        if kind.name in ("iso", "squashfs"):
            with _image(path, kind, folder, deadline) as image:
                read = _read_iso if kind.name == "iso" else _read_squashfs
                read(image, reading, folder, deadline)
            return reading.content()
        with raw_disks(path, kind, folder, deadline) as disks:
            if not disks:
                raise _NoRoot("it holds neither a root file system nor a disk with one")
            return _on_disks(_volumes(disks, deadline), reading, deadline)
    except ValueError as error:
        raise BuildError(f"{path} cannot be read to its end: {error}") from error
    except _NoRoot as error:
        raise BuildError(f"{path}: {error}") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}; what is in it is unpacked in {folder}") from error


class _NoRoot(Exception):
    """Its text says what is there instead."""


@contextmanager
def _image(path: Path, kind: Kind, folder: Path, deadline: Deadline) -> Iterator[IO[bytes]]:
    """One that confined programs may open."""
    with ExitStack() as undo:
        if kind.compression:
            yield undo.enter_context(unpacked(path, folder, deadline))
        else:
            yield undo.enter_context(readable(undo.enter_context(opened(path)), folder))


@dataclass(frozen=True, slots=True, eq=False)
class _Volume:
    """raw: the disk."""

    raw: IO[bytes]
    found: FileSystem
    deadline: Deadline

    @contextmanager
    def files(self) -> Iterator[ExtFiles]:
        with ext_files(self.raw, self.found.start, self.deadline) as files:
            yield files

    @property
    def is_read(self) -> bool:
        return self.found.type in READS

    def looked_at(self) -> tuple[bool, str]:
        """Whether it is a root, and why it is none that can be read: its top folder is damaged. Raises ValueError where
        that takes too long."""
        if not self.is_read:
            return False, ""
        try:
            with self.files() as files:
                top = files.has_at_top(("etc", "usr", "bin"))
        except ValueError as error:
            self.deadline.check()
            return False, str(error)
        return "etc" in top and len(top) > 1, ""


def _volumes(disks: Sequence[IO[bytes]], deadline: Deadline) -> Sequence[_Volume]:
    found: list[_Volume] = []
    for raw in disks:
        deadline.check()
        found += (_Volume(raw, one, deadline) for one in file_systems(raw, ALL_USAGES))
        if len(found) > VOLUMES.amount:
            raise ValueError(f"its disks have too many file systems: {VOLUMES.exceeded}")
    return found


def _on_disks(volumes: Sequence[_Volume], reading: RootReading, deadline: Deadline) -> RootContent:
    root, damaged = _root_of(volumes)
    if root is None:
        found = ", ".join(dict.fromkeys(_shown(one, damaged) for one in volumes))
        raise _NoRoot(
            f"no root file system that is read here is on its disk, which holds {found or 'no file system'};"
            f" a root on {', '.join(READS)} is read, and a squashfs"
        )
    unread: list[str] = []
    with root.files() as files:
        if files.is_unclean:
            unread.append("what the journal of its root holds: it was not unmounted")
        reading.add(files)
    mounting = _Mounting([volume for volume in volumes if volume is not root], damaged, deadline)
    for mount in disk_mounts(reading.text("etc/fstab").decode("utf-8", "replace")):
        if why := mounting.read(mount, reading):
            unread.append(f"{mount.folder} ({why})")
    unread += (_shown(one, damaged) for one in damaged if one not in mounting.done)
    left = len(unread) - FINDINGS.amount
    return reading.content(unread if left <= 0 else [*unread[: FINDINGS.amount], f"{left} more"])


def _root_of(volumes: Sequence[_Volume]) -> tuple[_Volume | None, Mapping[_Volume, str]]:
    """The first that is one, and why others that were looked at are damaged."""
    damaged: dict[_Volume, str] = {}
    for volume in volumes:
        is_root, why = volume.looked_at()
        if is_root:
            return volume, damaged
        if why:
            damaged[volume] = why
    return None, damaged


def _shown(volume: _Volume, damaged: Mapping[_Volume, str]) -> str:
    words = _WORDS.get(volume.found.type, volume.found.type)
    return f"{words} at byte {volume.found.start} ({damaged[volume]})" if volume in damaged else words


class _Mounting:
    """done: the volumes that fstab mounted. others: without that of the root. damaged: why they are."""

    def __init__(self, others: Sequence[_Volume], damaged: Mapping[_Volume, str], deadline: Deadline) -> None:
        self._by_name = {name: volume for volume in others for name in volume.found.names}
        self._damaged, self._deadline = damaged, deadline
        self.done: set[_Volume] = set()

    def read(self, mount: Mount, reading: RootReading) -> str:
        """Why it was not; "" where it was, or need not be."""
        self._deadline.check()
        volume = self._by_name.get(mount.name)
        if volume is None:
            return "" if mount.by_hand else mount.name[:_REASON]
        if volume in self.done:
            return f"{mount.name[:_REASON]}, which is mounted twice"
        self.done.add(volume)
        if not volume.is_read:
            return volume.found.type
        if why := self._damaged.get(volume) or volume.looked_at()[1]:
            return f"{volume.found.type}: {why}"
        if ".." in mount.folder.split("/"):
            return "its folder leads out of the root"
        with volume.files() as files:
            reading.add(files, plain_name(mount.folder))
        return ""


def _read_iso(source: IO[bytes], reading: RootReading, folder: Path, deadline: Deadline) -> None:
    """The root of a live image: of several the first."""
    command = ["xorriso", "-no_rc", "-indev", f"stdio:{name_of(source)}", "-find", "/", "-type", "f"]
    command += ["-name", "*.squashfs", "-exec", "report_lba", "--"]
    text = output_confined(command, "the image's folders are not read", [source.fileno()])
    match = _IN_ISO.search(text)
    if match is None:
        raise _NoRoot("it holds no root file system that is read here: no file of it is named .squashfs")
    member = Member("", int(match[2]), int(match[1]) * _ISO_BLOCK)
    with piece_of(source, member, folder, deadline) as image:
        _read_squashfs(image, reading, folder, deadline)


def _read_squashfs(image: IO[bytes], reading: RootReading, _: Path, deadline: Deadline) -> None:
    with TemporaryFile() as errors:
        process = start_filter(["sqfs2tar", name_of(image)], Reach((image.fileno(),)), NULL, errors)
        assert process.stdout is not None
        timer = threading.Timer(deadline.left, kill, [process])
        try:
            timer.start()
            reading.add(TarStream(process.stdout))
            while process.stdout.read(_CHUNK):
                pass
            code = process.wait()
        finally:
            timer.cancel()
            kill(process)
            process.stdout.close()
        if code != 0:
            errors.seek(0)
            why = errors.read(_REASON).decode(errors="replace").strip()
            raise ValueError(f"sqfs2tar: {why or f'it ended with {code}'}")
