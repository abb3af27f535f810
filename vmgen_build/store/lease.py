"""Names with an owner: what a process makes carries its tag, and a tag without a living owner is reaped."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmgen_build.errors import BuildError
from vmgen_build.host.remove import empty, open_folder
from vmgen_build.host.undo import Undo
from vmgen_build.store.cachedir import PASSABLE, is_ours, own_folder

TAG = re.compile(r"[0-9]+-[0-9a-f]{8}|pruned-[0-9a-f]{16}-[0-9]+")
"""The form of a scratch folder's name; the second one is of earlier versions."""

_LOCK = "lock"
_LOCKING = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

GRACE = 60.0
"""Seconds after which a folder without a lock counts as left: one that is being made has none for a moment."""

DYING = 5.0
"""Seconds that the processes of a guest may take to be gone, once they are killed."""

CGROUPS = "vmgen-build"
"""Every cgroup of a guest of ours lies under a folder of this name and then its lease's tag."""

CGROUP_ROOTS = tuple(Path("/sys/fs/cgroup", name) for name in (".", "unified", "memory", "pids"))
"""Where cgroup v2 lies, on a pure and on a hybrid host: systemd.io/CGROUP_DELEGATION; and the hierarchies of v1 that
booted containers have limits in."""


@contextmanager
def lease(cache: Path) -> Iterator[Path]:
    """A scratch folder `cache/tmp/TAG`, of mode 0700, removed at the end.

    It is locked (flock) as long as this process, or a child that it forked, lives; the kernel frees the lock whatever
    ends them. Where the owner was killed, `reap` of any later run removes the folder.
    Raises HostError where `cache` is no cache of ours, BuildError where the folder cannot be removed.
    """
    folder, lock = _new_folder(own_folder(cache, "tmp", PASSABLE))
    with Undo() as undo:
        undo.callback(os.close, lock)
        undo.callback(_end_cgroups, folder.name)
        undo.callback(_remove, folder)
        yield folder


def reap(cache: Path) -> list[str]:
    """Remove what dead processes left: scratch folders and the empty cgroups of their guests. Their tags.

    Nothing is touched in a folder without our mark, under a name of another form, behind a link, or of another user.
    """
    reaped = []
    if is_ours(cache):
        with suppress(FileNotFoundError, NotADirectoryError):
            tmp = open_folder(cache / "tmp")
            try:
                reaped = [name for name in sorted(filter(TAG.fullmatch, os.listdir(tmp))) if _reap(tmp, name)]  # noqa: PTH208
            finally:
                os.close(tmp)
    for tag in _cgroup_tags():
        if not Path("/proc", tag.partition("-")[0]).exists():
            remove_cgroups(tag)
    return reaped


def _new_folder(tmp: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = tmp / f"{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        lock = _locked(folder / _LOCK)
        if lock is not None:
            return folder, lock


def _locked(path: Path) -> int | None:
    """The lock of a new folder; None where a reaper took the folder for an abandoned one meanwhile."""
    try:
        lock = os.open(path, _LOCKING | os.O_EXCL, 0o600)
    except (FileNotFoundError, FileExistsError):
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(lock), path.lstat()):
            return lock
    os.close(lock)
    return None


def _reap(tmp: int, name: str) -> bool:
    """Whether the folder was left by a dead process, and is removed. Its lock is held meanwhile."""
    try:
        folder = open_folder(name, tmp)
    except OSError:
        return False
    try:
        lock = _lock_of_the_dead(folder)
        if lock is None:
            return False
        try:
            return _removed(name, folder, tmp)
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _lock_of_the_dead(folder: int) -> int | None:
    """The lock of an abandoned folder, taken; None where its owner lives, is making it, or is another user."""
    info = os.fstat(folder)
    if info.st_uid != os.geteuid():
        return None
    try:
        lock = os.open(_LOCK, _LOCKING & ~os.O_CREAT, dir_fd=folder)
    except FileNotFoundError:
        if time.time() - info.st_mtime <= GRACE:
            return None
        lock = os.open(_LOCK, _LOCKING, 0o600, dir_fd=folder)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove(path: Path) -> None:
    """Remove an own folder. Raises BuildError."""
    with suppress(FileNotFoundError):
        folder = open_folder(path)
        try:
            if not _removed(path.name, folder, None, path):
                raise BuildError(
                    f"cannot remove the scratch folder {path}: something is mounted there, or a process writes to it"
                )
        finally:
            os.close(folder)


def _removed(name: str, folder: int, tmp: int | None, path: Path | None = None) -> bool:
    """Remove the tree, the lock last, so that a removal cut short is found and ended by the next run.

    False where another process took the folder for its own meanwhile.
    """
    try:
        empty(folder, keep=_LOCK)
        with suppress(FileNotFoundError):
            os.unlink(_LOCK, dir_fd=folder)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise BuildError(f"cannot remove the scratch folder {path or name}: {place}{error.strerror}") from error
    try:
        os.rmdir(path or name, dir_fd=tmp)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _cgroup_tags() -> set[str]:
    return {group.name for root in CGROUP_ROOTS for group in (root / CGROUPS).glob("[0-9]*-*")}


def _end_cgroups(tag: str) -> None:
    """At the end of a lease, also where what ran a guest was killed: end what is left in the guest's cgroups, and wait
    until the kernel has done so. What stays is reaped by the next run."""
    end = time.monotonic() + DYING
    while not remove_cgroups(tag) and time.monotonic() < end:
        for root in CGROUP_ROOTS:
            with suppress(OSError):
                (root / CGROUPS / tag / "cgroup.kill").write_text("1")
        time.sleep(0.02)


def remove_cgroups(group: str) -> bool:
    """Remove the empty cgroups of a tag, or of "TAG/FOLDER" below it. Whether none is left.

    lxc leaves the last one of each container, because its monitor ends in it.
    """
    tops = [root / CGROUPS / group for root in CGROUP_ROOTS]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not any(top.exists() for top in tops)
