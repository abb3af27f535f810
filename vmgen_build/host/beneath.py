"""Files below a foreign tree, opened so that no link, mount of /proc or `..` leads out of it: openat2(2).

Every reader and writer of an unpacked image, of a guest's root or of a layer opens through here. A link is followed as
a process whose root is the tree would follow it: `/etc/shadow` means the tree's own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from vmgen_build.errors import HostError
from vmgen_build.limits import Limit

_OPENAT2 = 437
"""The same number on every architecture, as all calls since Linux 5.0 have."""

_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_ATTEMPTS = 16
"""EAGAIN means that something in the tree was renamed meanwhile (openat2(2))."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_beneath(root: Path, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of `name` in the tree `root`, for the caller to close. flags, mode: as of open(2).

    Raises OSError as open(2); ELOOP for a circle of links. Raises HostError where the kernel has no openat2.
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        creates = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
        return _openat2(top, name, flags | os.O_CLOEXEC, mode if creates else 0)
    finally:
        os.close(top)


def file_beneath(root: Path, name: str) -> BinaryIO:
    """A regular file of the tree, open for reading. Raises OSError; EINVAL for what is no regular file.

    That is known before it is opened: to open some devices does something (a watchdog, a tape), and fifo(7) waits.
    """
    place = open_beneath(root, name, os.O_PATH)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        return os.fdopen(_reopened(place, name), "rb")
    finally:
        os.close(place)


def read_beneath(root: Path, name: str, limit: Limit) -> bytes:
    """What a regular file of the tree holds. Raises OSError; EFBIG, with the limit's name, for a larger one."""
    with file_beneath(root, name) as file:
        data = file.read(limit.amount + 1)
    if len(data) > limit.amount:
        raise OSError(errno.EFBIG, limit.exceeded, name)
    return data


def text_beneath(root: Path, name: str, limit: Limit) -> str:
    """A file's text; "" where there is none that can be read. What is no UTF-8 becomes U+FFFD."""
    try:
        return read_beneath(root, name, limit).decode(errors="replace")
    except OSError:
        return ""


def is_beneath(root: Path, name: str) -> bool:
    """Whether the tree has something of that name, which its own links may lead to."""
    try:
        os.close(open_beneath(root, name, os.O_PATH))
    except OSError:
        return False
    return True


def _reopened(place: int, name: str) -> int:
    """For reading. place: a descriptor of a regular file by O_PATH (open(2))."""
    try:
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def _openat2(top: int, name: str, flags: int, mode: int) -> int:
    how = _OpenHow(flags, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    path = os.fsencode(name)
    if b"\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    for _ in range(_ATTEMPTS):
        result: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(top), path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    if code == errno.ENOSYS:
        raise HostError("this kernel cannot open files without following links out (openat2); use Linux 5.6 or later")
    raise OSError(code, os.strerror(code), name)
