"""Locks on folders that others may be able to open: each lies in a folder of the caller's own.

/run/vmgen-build/DEVICE-INODE for root; in $XDG_RUNTIME_DIR, else in the temporary folder, for an ordinary user.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.errors import HostError


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the only lock (flock) on a folder; waits for another process of this user, and for nobody else.

    Raises OSError where the folder cannot be looked at, HostError where there is no place for the lock.
    """
    info = folder.stat()
    path = _own_place() / f"{info.st_dev:x}-{info.st_ino:x}"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _own_place() -> Path:
    user = os.geteuid()
    runtime = "/run" if user == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    place = Path(runtime, "vmgen-build") if runtime else Path(tempfile.gettempdir(), f"vmgen-build-{user}")
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        info = place.lstat()
    except OSError as error:
        raise HostError(f"cannot make the folder of locks {place}: {error.strerror}; make it yourself") from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != user or info.st_mode & 0o077:
        raise HostError(f"the folder of locks {place} is not yours alone; remove it, or set its mode to 0700")
    return place
