"""A root file system out of a disk image of others, put together of its partitions as its own fstab(5) says.

Runs inside a worker of host.namespaces: mounts and loop devices end with it. File systems are mounted read-only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmgen_build.artifacts.disk.convert import to_raw
from vmgen_build.artifacts.result import Disk
from vmgen_build.bases.copy import copy_tree
from vmgen_build.bases.unpack import check_digest, check_root, looks_like_root
from vmgen_build.errors import BuildError
from vmgen_build.host import syscalls as sc
from vmgen_build.host.beneath import is_beneath, read_beneath
from vmgen_build.host.confined import Reach, lent, run_confined
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.host.run import output
from vmgen_build.limits import TREE_FILE, VOLUMES
from vmgen_build.plan.bases import Image

REQUIREMENTS: tuple[Requirement, ...] = (
    needed("qemu-img", "reads the disk image"),
    needed("sfdisk", "reads its partition table"),
)

_READ_ONLY = "loop,ro,nosuid,nodev,noexec"
_NO_JOURNAL = {"ext3": ",noload", "ext4": ",noload", "xfs": ",norecovery"}
"""Nothing is replayed: an image that is written to no more is clean."""

_MOUNTED = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")
"""File systems that the kernel itself mounts here: no mount(8) helper is started for what blkid(8) says of an image."""

_NOT_COPIED = ("/", "none", "swap", "/boot/efi", "/efi")
"""Mount points: the root is there already, and a new machine's disk gets boot files for its firmware of its own."""

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class _Volume:
    """A file system of the image: start and size in bytes; names: what fstab may call it, "UUID=..." and its like."""

    start: int
    size: int
    type: str
    names: frozenset[str]


def unpack_disk(base: Image, scratch: Path, root: Path) -> None:
    """Make the new folder `root` of the image. scratch: a folder with room for the disk's content.

    Raises BuildError where it is another file, or holds no root file system that this host can read.
    """
    check_digest(base.file, base.sha256)
    raw, mounted_at = scratch / "disk.raw", scratch / "volume"
    mounted_at.mkdir()
    try:
        to_raw(Disk("base", base.file, base.format), raw)
        with raw.open("rb") as file, lent(file.fileno()):
            volumes = _volumes(file)
        _copy_volumes(base, volumes, raw, mounted_at, root)
    finally:
        raw.unlink(missing_ok=True)
        mounted_at.rmdir()
    check_root(root, str(base.file))


def _copy_volumes(base: Image, volumes: Sequence[_Volume], raw: Path, at: Path, root: Path) -> None:
    system = next((one for one in volumes if _is_root(raw, one, at)), None)
    if system is None:
        found = ", ".join(one.type for one in volumes) or "no file system"
        raise BuildError(
            f"{base.file} holds no root file system that this host can read (it holds {found});"
            " give a disk with a plain partition for it, or a tar of the root"
        )
    with _mounted(raw, system, at):
        copy_tree(at, root)
    for name, folder in _mount_points(root):
        volume = next((one for one in volumes if name in one.names), None)
        if volume is None or volume.type not in _MOUNTED:
            raise BuildError(f"{base.file}: its fstab mounts {name} on {folder}, and the disk has no such partition")
        with _mounted(raw, volume, at):
            copy_tree(at, _inside(root, folder, base.file))


def _volumes(raw: BinaryIO) -> tuple[_Volume, ...]:
    """The file systems of the disk: of each partition, or the one of a disk without partitions."""
    table = run_confined(["sfdisk", "--json", name_of(raw)], Reach((raw.fileno(),)))
    if table.code != 0:
        return tuple(filter(None, [_volume(raw, 0, os.fstat(raw.fileno()).st_size, "")]))
    data = json.loads(table.text)["partitiontable"]
    unit = int(data.get("sectorsize", _SECTOR))
    parts = data.get("partitions", ())
    if len(parts) > VOLUMES.amount:
        raise BuildError(f"the disk of the base system has {len(parts)} partitions: {VOLUMES.exceeded}")
    extents = ((int(part["start"]) * unit, int(part["size"]) * unit, str(part.get("uuid", ""))) for part in parts)
    return tuple(filter(None, (_volume(raw, *extent) for extent in extents)))


def _volume(raw: BinaryIO, start: int, size: int, partition: str) -> _Volume | None:
    """None where there is no file system: an extended partition, empty space."""
    command = ["blkid", "-p", "-o", "export", "-O", str(start), "-S", str(size), "-u", "filesystem,other", name_of(raw)]
    probed = run_confined(command, Reach((raw.fileno(),)))
    fields = dict(line.partition("=")[::2] for line in probed.text.splitlines())
    if probed.code != 0 or "TYPE" not in fields:
        return None
    names = {f"{key}={fields[key]}" for key in ("UUID", "LABEL") if fields.get(key)}
    return _Volume(start, size, fields["TYPE"], frozenset(names | {f"PARTUUID={partition.lower()}"}))


def _is_root(raw: Path, volume: _Volume, at: Path) -> bool:
    if volume.type not in _MOUNTED or volume.type == "vfat":
        return False
    with _mounted(raw, volume, at):
        return is_beneath(at, "etc/.") and looks_like_root(at)


@contextmanager
def _mounted(raw: Path, volume: _Volume, at: Path) -> Iterator[None]:
    options = f"{_READ_ONLY}{_NO_JOURNAL.get(volume.type, '')},offset={volume.start},sizelimit={volume.size}"
    output(["mount", "-t", volume.type, "-o", options, raw, at], "cannot read the disk of the base system")
    try:
        yield
    finally:
        sc.unmount(at)


def _mount_points(root: Path) -> Sequence[tuple[str, str]]:
    """What the system's fstab mounts of its own disk beside its root: name of the file system, folder from the top."""
    try:
        text = read_beneath(root, "etc/fstab", TREE_FILE).decode(errors="replace")
    except OSError:
        return []
    rows = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    own = [row for row in rows if len(row) > 2 and row[0].startswith(("UUID=", "LABEL=", "PARTUUID="))]
    return sorted(((row[0], row[1]) for row in own if row[1] not in _NOT_COPIED), key=lambda pair: pair[1])


def _inside(root: Path, folder: str, image: Path) -> Path:
    """The mount point in the new root. Raises BuildError where the image's own links lead away from it."""
    goal = root / folder.strip("/")
    if ".." in goal.parts or goal.resolve() != root.resolve() / folder.strip("/"):
        raise BuildError(f"{image}: its fstab mounts on {folder}, which is not a folder of its root")
    return goal
