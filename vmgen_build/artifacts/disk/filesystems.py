"""One small function for each file system: it makes a volume's file system in its place of a sparse image.

The same content gives the same bytes on ext2, ext3, ext4, vfat and swap. Those of btrfs, xfs and ntfs differ from
build to build: their tools put ids and times of their own into them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.disk import ext
from vmgen_build.artifacts.disk.content import VolumeSource
from vmgen_build.artifacts.disk.layout import NOTHING, SECTOR, Content, Placed, too_large
from vmgen_build.artifacts.disk.tools import ToolFailed, Tools, copy_data, new_file
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.recipe.partitioning import EMPTY_ONLY, MIB

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "ext2": ("mke2fs",),
    "ext3": ("mke2fs",),
    "ext4": ("mke2fs",),
    "btrfs": ("mkfs.btrfs",),
    "xfs": ("mkfs.xfs",),
    "swap": ("mkswap",),
    "vfat": ("mkfs.vfat", "mmd", "mcopy"),
    "ntfs": ("mkntfs", "ntfslabel"),
}
"""File system -> the programs of the host that make it."""

BYTES_PER_INODE = 16384

_FAT32 = 34 * MIB
"""From here on a partition has the 65525 clusters of 512 bytes that make a FAT32."""


@dataclass(frozen=True, slots=True)
class Making:
    """A volume to be made: where in which image, of what. source: None for a volume without content."""

    image: Path
    drive: Drive
    placed: Placed
    source: VolumeSource | None

    @property
    def content(self) -> Content:
        return self.source.content if self.source else NOTHING

    @property
    def holds_files(self) -> bool:
        return self.content.inodes > 1


def programs(machine: Machine) -> tuple[str, ...]:
    """The programs of the host that this machine's disks need, each once."""
    needed = [name for _, volume in machine.volumes() for name in PROGRAMS.get(volume.fs or "", ())]
    return tuple(dict.fromkeys(["sfdisk", *needed]))


def make(making: Making, tools: Tools) -> None:
    """Raises BuildError (content does not fit or cannot be kept by this file system), HostError (disk full)."""
    fs = making.placed.volume.fs
    if fs is None:
        return
    try:
        MAKERS[fs](making, tools)
    except ToolFailed as error:
        if any(words in error.reason for words in ("Could not allocate", "No space left", "Disk full")):
            raise too_large(making.drive, making.placed, making.content) from error
        raise


def check_content(making: Making) -> None:
    """Refuse a content that its file system cannot take. Raises BuildError."""
    volume = making.placed.volume
    if volume.fs in EMPTY_ONLY and making.holds_files:
        raise BuildError(
            f"{volume.mount} holds {making.content.inodes - 1} files and folders, and partition '{volume.option}' of"
            f" disk '{making.drive.name}' is {volume.fs}, which can only be made empty; make it ext4 or btrfs"
        )
    if volume.fs == "vfat" and making.source is not None:
        for path in _entries(making.source.folder):
            if not stat.S_ISDIR(mode := path.lstat().st_mode) and not stat.S_ISREG(mode):
                name = path.relative_to(making.source.folder)
                raise BuildError(f"{volume.mount}/{name} is neither file nor folder, and vfat can hold no other")


def _ext(making: Making, tools: Tools) -> None:
    volume, start = making.placed.volume, making.placed.start
    root = making.source.folder.stat() if making.source else None
    config = tools.folder / "mke2fs.conf"
    config.write_text(ext.CONFIG)
    owner = f"{root.st_uid}:{root.st_gid}" if root else "0:0"
    inodes = max(making.placed.size // BYTES_PER_INODE, making.content.inodes * 5 // 4 + 1024)
    extended = f"offset={start},hash_seed={volume.uuid},root_owner={owner},lazy_itable_init=0,lazy_journal_init=1"
    command: list[str | Path] = ["mke2fs", "-q", "-F", "-t", volume.fs or "ext4", "-b", str(ext.BLOCK)]
    command += ["-I", str(ext.INODE), "-N", str(inodes), "-m", "1" if volume.mount == "/" else "0"]
    command += ["-U", volume.uuid, "-L", volume.label or "", "-E", extended]
    if making.source is not None:
        command += ["-d", making.source.folder]
    command += [making.image, str(making.placed.size // ext.BLOCK)]
    tools.run(command, env={"MKE2FS_CONFIG": str(config)})
    ext.settle(making.image, start, tools.epoch, root)


def _btrfs(making: Making, tools: Tools) -> None:
    volume = making.placed.volume
    with _apart(making, tools) as file:
        command: list[str | Path] = ["mkfs.btrfs", "-q", "-f", "-U", volume.uuid, "-L", volume.label or ""]
        if making.source is not None:
            command += ["--rootdir", making.source.folder]
        tools.run([*command, file])


def _xfs(making: Making, tools: Tools) -> None:
    volume = making.placed.volume
    with _apart(making, tools) as file:
        label = ["-L", volume.label] if volume.label else []
        tools.run(["mkfs.xfs", "-q", "-f", "-m", f"uuid={volume.uuid}", "-i", "nrext64=0", *label, file])


def _swap(making: Making, tools: Tools) -> None:
    volume = making.placed.volume
    with _apart(making, tools) as file:
        label = ["-L", volume.label] if volume.label else []
        tools.run(["mkswap", "-q", "-p", "4096", "-U", volume.uuid, *label, file])


def _ntfs(making: Making, tools: Tools) -> None:
    volume = making.placed.volume
    with _apart(making, tools) as file:
        label = ["-L", volume.label] if volume.label else []
        first = str(making.placed.start // SECTOR)
        tools.run(["mkntfs", "-q", "-F", "-Q", "-s", str(SECTOR), "-p", first, "-H", "255", "-S", "63", *label, file])
        tools.run(["ntfslabel", f"--new-serial={volume.uuid}", file])


def _vfat(making: Making, tools: Tools) -> None:
    volume = making.placed.volume
    first = str(making.placed.start // SECTOR)
    command: list[str | Path] = ["mkfs.vfat", "--invariant", "-i", volume.uuid.replace("-", ""), "-h", first]
    command += ["-n", volume.label] if volume.label else []
    if volume.kind == "esp" and making.placed.size >= _FAT32:
        command += ["-F", "32", "-s", "1" if making.placed.size < 512 * MIB else "8"]
    with _apart(making, tools) as file:
        tools.run([*command, file])
        if making.source is not None:
            _fill_vfat(file, making.source.folder, tools)


def _fill_vfat(file: Path, top: Path, tools: Tools) -> None:
    """Entry by entry: mcopy -s takes them in the order of the host's folders."""
    for path in _entries(top):
        inside = f"::/{path.relative_to(top)}"
        tools.run(["mmd", "-i", file, inside] if path.is_dir() else ["mcopy", "-i", file, path, inside])


MAKERS: Mapping[str, Callable[[Making, Tools], None]] = {
    "ext2": _ext,
    "ext3": _ext,
    "ext4": _ext,
    "btrfs": _btrfs,
    "xfs": _xfs,
    "swap": _swap,
    "ntfs": _ntfs,
    "vfat": _vfat,
}


@contextmanager
def _apart(making: Making, tools: Tools) -> Iterator[Path]:
    """A file of its own for a tool that writes at the start of its device; then its data go to their place."""
    file = tools.folder / f"{making.drive.name}-{making.placed.volume.option}.fs"
    try:
        yield new_file(file, making.placed.size)
        with file.open("rb", buffering=0) as reader, making.image.open("r+b", buffering=0) as writer:
            copy_data(reader.fileno(), writer.fileno(), making.placed.start)
    finally:
        file.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[Path]:
    """All below, sorted by name, each folder before what it holds."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))
