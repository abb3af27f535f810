"""A root file system out of a disk image of others, put together of its partitions as its own fstab(5) says.

Runs inside a worker of host.namespaces: mounts and loop devices end with it. File systems are mounted read-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.artifacts.disk.convert import to_raw
from vmgen_build.artifacts.disk.volumes import FileSystem, Mount, disk_mounts, file_systems
from vmgen_build.artifacts.result import Disk
from vmgen_build.bases.copy import copy_tree
from vmgen_build.bases.unpack import check_digest, check_root, looks_like_root
from vmgen_build.errors import BuildError
from vmgen_build.host import syscalls as sc
from vmgen_build.host.beneath import is_beneath, read_beneath
from vmgen_build.host.confined import lent
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.host.run import output
from vmgen_build.limits import TREE_FILE
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

_OWN = ("UUID=", "LABEL=", "PARTUUID=")
"""How a disk's fstab names the file systems of that disk; others may be of another."""

_NOT_COPIED = ("/boot/efi", "/efi")
"""Mount points: a new machine's disk gets boot files for its firmware of its own."""


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
            volumes = file_systems(file)
        _copy_volumes(base, volumes, raw, mounted_at, root)
    finally:
        raw.unlink(missing_ok=True)
        mounted_at.rmdir()
    check_root(root, str(base.file))


def _copy_volumes(base: Image, volumes: Sequence[FileSystem], raw: Path, at: Path, root: Path) -> None:
    system = next((one for one in volumes if _is_root(raw, one, at)), None)
    if system is None:
        found = ", ".join(one.type for one in volumes) or "no file system"
        raise BuildError(
            f"{base.file} holds no root file system that this host can read (it holds {found});"
            " give a disk with a plain partition for it, or a tar of the root"
        )
    with _mounted(raw, system, at):
        copy_tree(at, root)
    for mount in _mounts(root):
        volume = next((one for one in volumes if mount.name in one.names), None)
        if volume is None or volume.type not in _MOUNTED:
            raise BuildError(
                f"{base.file}: its fstab mounts {mount.name} on {mount.folder}, and the disk has no such partition"
            )
        with _mounted(raw, volume, at):
            copy_tree(at, _inside(root, mount.folder, base.file))


def _is_root(raw: Path, volume: FileSystem, at: Path) -> bool:
    if volume.type not in _MOUNTED or volume.type == "vfat":
        return False
    with _mounted(raw, volume, at):
        return is_beneath(at, "etc/.") and looks_like_root(at)


@contextmanager
def _mounted(raw: Path, volume: FileSystem, at: Path) -> Iterator[None]:
    options = f"{_READ_ONLY}{_NO_JOURNAL.get(volume.type, '')},offset={volume.start},sizelimit={volume.size}"
    output(["mount", "-t", volume.type, "-o", options, raw, at], "cannot read the disk of the base system")
    try:
        yield
    finally:
        sc.unmount(at)


def _mounts(root: Path) -> Sequence[Mount]:
    """What the system's fstab mounts of its own disk beside its root."""
    try:
        text = read_beneath(root, "etc/fstab", TREE_FILE).decode(errors="replace")
    except OSError:
        return []
    return [one for one in disk_mounts(text) if one.name.startswith(_OWN) and one.folder not in _NOT_COPIED]


def _inside(root: Path, folder: str, image: Path) -> Path:
    """The mount point in the new root. Raises BuildError where the image's own links lead away from it."""
    goal = root / folder.strip("/")
    if ".." in goal.parts or goal.resolve() != root.resolve() / folder.strip("/"):
        raise BuildError(f"{image}: its fstab mounts on {folder}, which is not a folder of its root")
    return goal
