"""What lies on each volume: the part of a root tree below its mount point, without what other volumes hold."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from vmgen_build.artifacts.disk.layout import Content
from vmgen_build.errors import BuildError
from vmgen_build.host import syscalls as sc
from vmgen_build.host.undo import Undo

EMPTY = ("/dev", "/proc", "/sys", "/run")
"""Folders that the running system mounts something on; what the root has in them stays out."""

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """A volume's content as a folder of this mount namespace."""

    folder: Path
    content: Content


@contextmanager
def sources(root: Path, mounts: Sequence[str], scratch: Path) -> Iterator[dict[str, VolumeSource]]:
    """The content of the volumes with these mount points, by mount point; none for one that the root lacks.

    Makes bind mounts below `scratch`, on which an empty folder covers every other volume's mount point and EMPTY; needs
    root and a mount namespace of its own. Owner, mode and time of a covered folder stay. `scratch` is on the disk that
    the root's files are on: mkfs.btrfs takes files of one inode number for one file, whatever disk they are on, so a
    tmpfs for each folder would make all of them one. Raises BuildError where a mount point is no folder or lies behind
    a symbolic link.
    """
    wanted = [normal(m) for m in mounts]
    with Undo() as undo:
        found = {}
        for number, mount in enumerate(wanted):
            folder = inside(root, mount)
            if folder is None:
                continue
            source = scratch / f"content-{number}"
            source.mkdir()
            undo.callback(source.rmdir)
            sc.mount(str(folder), source, flags=sc.MS_BIND)
            undo.callback(sc.unmount, source, sc.MNT_DETACH)
            for other in sorted({*wanted, *EMPTY}):
                if other != mount and _below(other, mount):
                    _cover(source, posixpath.relpath(other, mount), scratch, undo)
            found[mounts[number]] = VolumeSource(source, measure(source))
        yield found


def normal(mount: str) -> str:
    """A mount point in one spelling: "/home/" and "//home" are "/home"."""
    return "/" + posixpath.normpath(mount).lstrip("/")


def inside(root: Path, mount: str) -> Path | None:
    """The folder of a mount point; None where there is none. Raises BuildError, see `sources`."""
    path = root
    for part in mount.strip("/").split("/") if mount != "/" else ():
        path = path / part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "no folder"
            raise BuildError(f"/{path.relative_to(root)} is {what} in the image, so nothing can be mounted on {mount}")
    return path


def measure(folder: Path) -> Content:
    """Sizes as blocks of a file system, whatever the host's own makes of them: holes of sparse files do not count, hard
    links count once."""
    size, inodes = 0, 1
    linked: set[tuple[int, int]] = set()
    pending = [os.fspath(folder)]
    while pending:
        names = 0
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                names += 12 + len(os.fsencode(entry.name))
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(entry.path)
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in linked:
                        continue
                    linked.add((status.st_dev, status.st_ino))
                inodes += 1
                size += _blocks(entry.path, status)
        size += _rounded(max(names, 1))
    return Content(size, inodes)


def _blocks(path: str, status: os.stat_result) -> int:
    if stat.S_ISREG(status.st_mode):
        sparse = status.st_blocks * 512 + (1 << 20) < status.st_size
        return _of_sparse(path) if sparse else _rounded(status.st_size)
    return BLOCK if stat.S_ISLNK(status.st_mode) and status.st_size >= 60 else 0


def _of_sparse(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return sum(_rounded(end - start) for start, end in extents(fd))
    finally:
        os.close(fd)


def extents(fd: int) -> Iterator[tuple[int, int]]:
    """Where an open file has data: (start, end) in bytes, by SEEK_DATA and SEEK_HOLE (lseek(2))."""
    end, size = 0, os.fstat(fd).st_size
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _rounded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _cover(source: Path, relative: str, scratch: Path, undo: ExitStack) -> None:
    target = inside(source, "/" + relative)
    if target is None:
        return
    before = target.stat()
    empty = Path(mkdtemp(prefix="empty-", dir=scratch))
    undo.callback(empty.rmdir)
    os.chown(empty, before.st_uid, before.st_gid)
    empty.chmod(stat.S_IMODE(before.st_mode))
    os.utime(empty, ns=(before.st_mtime_ns, before.st_mtime_ns))
    sc.mount(str(empty), target, flags=sc.MS_BIND)
    undo.callback(sc.unmount, target, sc.MNT_DETACH)
