"""Names with an owner: what a process makes carries its tag, and a tag without a living owner is reaped."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmgen_build.errors import BuildError

CGROUPS = "vmgen-build"
"""Every cgroup of a guest of ours lies under a folder of this name and then its lease's tag."""

CGROUP_ROOTS = tuple(Path("/sys/fs/cgroup", name) for name in (".", "unified", "memory", "pids"))
"""Where cgroup v2 lies, on a pure and on a hybrid host: systemd.io/CGROUP_DELEGATION; and the hierarchies of v1 that
booted containers have limits in."""


@contextmanager
def lease(cache: Path) -> Iterator[Path]:
    """A scratch folder `cache/tmp/TAG`, removed at the end.

    It is locked (flock) as long as this process, or a child that it forked, lives; the kernel frees the lock whatever
    ends them. Where the owner was killed, `reap` of any later run removes the folder.
    """
    tag = f"{os.getpid()}-{secrets.token_hex(4)}"
    folder = cache / "tmp" / tag
    folder.mkdir(parents=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove(folder)
            remove_cgroups(tag)


def reap(cache: Path) -> list[str]:
    """Remove what dead processes left: scratch folders and the empty cgroups of their guests. Their tags."""
    reaped = []
    for folder in sorted((cache / "tmp").glob("*")):
        if _abandoned(folder):
            _remove(folder)
            reaped.append(folder.name)
    for tag in _cgroup_tags():
        if not Path("/proc", tag.partition("-")[0]).exists():
            remove_cgroups(tag)
    return reaped


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except (FileNotFoundError, NotADirectoryError):
        return _older_than_a_minute(folder)


def _older_than_a_minute(folder: Path) -> bool:
    """A folder without a lock file is being made, or being removed, right now; or was left so by a crash."""
    import time

    try:
        return time.time() - folder.stat().st_mtime > 60
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    """Remove the tree, the lock last, so that a removal cut short is found and ended by the next run."""
    failures: list[str] = []

    def note(_function: object, path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(info[1], FileNotFoundError):
            failures.append(f"{path}: {info[1]}")

    try:
        entries = [entry for entry in folder.iterdir() if entry.name != "lock"]
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, onerror=note)
        else:
            entry.unlink(missing_ok=True)
    shutil.rmtree(folder, onerror=note)
    if failures:
        raise BuildError(f"cannot remove the scratch folder {folder}: " + "; ".join(failures[:3]))


def _cgroup_tags() -> set[str]:
    return {group.name for root in CGROUP_ROOTS for group in (root / CGROUPS).glob("[0-9]*-*")}


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
