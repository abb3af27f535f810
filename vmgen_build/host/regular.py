"""Regular files alone: a device, a pipe or a socket under a file's name must neither block a reader nor feed it for
ever (fifo(7), open(2): O_NONBLOCK)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from vmgen_build.host.watching import note_read
from vmgen_build.limits import Limit

_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """The file, open for reading. follow: whether a link of that name is followed.

    Raises OSError: that of open(2), IsADirectoryError, or EINVAL for what is no file.
    """
    note_read(path)
    status = path.stat(follow_symlinks=follow)
    _check(status.st_mode, path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        _check(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: Limit) -> bytes:
    """What a regular file holds. Raises OSError as open_regular does; EFBIG, with the limit's name, for more."""
    with open_regular(path) as file:
        data = file.read(limit.amount + 1)
    if len(data) > limit.amount:
        raise OSError(errno.EFBIG, limit.exceeded, str(path))
    return data


def _check(mode: int, path: Path) -> None:
    """Before opening too: to open some devices does something (a watchdog, a tape)."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file", str(path))
