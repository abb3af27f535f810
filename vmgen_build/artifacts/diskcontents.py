"""The root file system on the disks in an artifact of others, or in a squashfs: read where it lies, never mounted.

ext2, ext3 and ext4 are read by debugfs(8), a squashfs by sqfs2tar(1), the folders of an ISO image by xorriso(1). All of
them run confined (host.confined). The root is put together of the file systems that its own fstab(5) names.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vmgen_build.artifacts.contents import RootContent, RootReading
from vmgen_build.artifacts.disk.convert import opened, readable
from vmgen_build.artifacts.disk.extfiles import READS, ExtFiles, ext_files
from vmgen_build.artifacts.disk.volumes import FileSystem, file_systems, mount_points
from vmgen_build.artifacts.kinds import Kind, plain_name
from vmgen_build.artifacts.rawdisks import WITH_DISKS, piece_of, raw_disks
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import Reach, output_confined, start_filter
from vmgen_build.host.files import folder_for_large_files
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.run import NULL, kill
from vmgen_build.limits import UNPACK_TIME

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
    folder = folder_for_large_files()
    try:
        if kind.name in ("iso", "squashfs"):
            with opened(path) as file, readable(file, folder) as source:
                return _of_iso(source, folder, digests) if kind.name == "iso" else _of_squashfs(source, digests)
        with raw_disks(path, kind, folder) as disks:
            if not disks:
                raise _NoRoot("it holds neither a root file system nor a disk with one")
            return _on_disks([_Volume(raw, one) for raw in disks for one in file_systems(raw)], digests)
    except ValueError as error:
        raise BuildError(f"{path} cannot be read to its end: {error}") from error
    except _NoRoot as error:
        raise BuildError(f"{path}: {error}") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}; what is in it is unpacked in {folder}") from error


class _NoRoot(Exception):
    """Its text says what is there instead."""


@dataclass(frozen=True, slots=True)
class _Volume:
    """raw: the disk."""

    raw: IO[bytes]
    found: FileSystem

    @contextmanager
    def files(self) -> Iterator[ExtFiles]:
        with ext_files(self.raw, self.found.start) as files:
            yield files

    @property
    def is_read(self) -> bool:
        return self.found.type in READS

    @property
    def is_root(self) -> bool:
        if not self.is_read:
            return False
        with self.files() as files:
            top = files.top
        return "etc" in top and bool(top & {"usr", "bin"})


def _on_disks(volumes: Sequence[_Volume], digests: bool) -> RootContent:
    root = next((volume for volume in volumes if volume.is_root), None)
    if root is None:
        found = ", ".join(dict.fromkeys(_WORDS.get(one.found.type, one.found.type) for one in volumes))
        raise _NoRoot(
            f"no root file system that is read here is on its disk, which holds {found or 'no file system'};"
            f" a root on {', '.join(READS)} is read, and a squashfs"
        )
    reading, unread = RootReading(digests=digests), list[str]()
    with root.files() as files:
        if files.is_unclean:
            unread.append("what the journal of its root holds: it was not unmounted")
        reading.add(files)
    others = {name: volume for volume in volumes if volume is not root for name in volume.found.names}
    for name, mount in mount_points(reading.text("etc/fstab").decode("utf-8", "replace")):
        volume = others.get(name)
        if volume is None:
            continue
        others = {word: other for word, other in others.items() if other is not volume}
        if volume.is_read:
            with volume.files() as files:
                reading.add(files, plain_name(mount))
        else:
            unread.append(f"{mount} ({volume.found.type})")
    return reading.content(unread)


def _of_iso(source: IO[bytes], folder: Path, digests: bool) -> RootContent:
    """The root of a live image: of several the first."""
    command = ["xorriso", "-no_rc", "-indev", f"stdio:{name_of(source)}", "-find", "/", "-type", "f"]
    command += ["-name", "*.squashfs", "-exec", "report_lba", "--"]
    text = output_confined(command, "the image's folders are not read", [source.fileno()])
    match = _IN_ISO.search(text)
    if match is None:
        raise _NoRoot("it holds no root file system that is read here: no file of it is named .squashfs")
    with piece_of(source, int(match[1]) * _ISO_BLOCK, int(match[2]), folder) as image:
        return _of_squashfs(image, digests)


def _of_squashfs(image: IO[bytes], digests: bool) -> RootContent:
    reading = RootReading(digests=digests)
    with TemporaryFile() as errors:
        process = start_filter(["sqfs2tar", name_of(image)], Reach((image.fileno(),)), NULL, errors)
        assert process.stdout is not None
        timer = threading.Timer(UNPACK_TIME.amount, kill, [process])
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
    return reading.content()
