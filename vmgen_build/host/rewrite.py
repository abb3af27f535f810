"""A file of the user's own that is changed: the new one takes the place of the old one whole, with its mode, owner and
access control list. A link to it stays a link."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmgen_build.errors import HostError
from vmgen_build.host.files import private_files, whole_file
from vmgen_build.host.regular import open_regular

_RIGHTS = "system.posix_acl_access"
"""acl(5): without the list, the mode's bits of the group would give more than the list does."""


@dataclass(frozen=True, slots=True)
class Original:
    """The file as it is. path: without links. attributes: its extended ones (xattr(7))."""

    path: Path
    status: os.stat_result
    attributes: Mapping[str, bytes]
    data: bytes

    def replace(self, data: bytes) -> None:
        """Put this in its place. Raises HostError where place, owner or mode cannot be had; nothing changes then."""
        self.check()
        self._write(self.path, data)

    def check(self) -> None:
        """Raises HostError where its mode keeps this user from writing to it."""
        if not os.access(self.path, os.W_OK):
            raise HostError(f"{self.path} may not be written to by this user; change its mode, or run as its owner")

    def keep_as(self, path: Path) -> None:
        """Another file of the same content, mode and owner, in place of what is there. Raises HostError."""
        self._write(path, self.data)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            with private_files(), whole_file(path) as file:
                file.write(data)
                self._liken(file.fileno())
        except OSError as error:
            raise HostError(f"cannot write {path}: {error.strerror}; it is left as it was") from error
        except HostError as error:
            if isinstance(error.__cause__, OSError):
                reason = error.__cause__.strerror
                raise HostError(f"cannot write to the folder {path.parent}: {reason}; nothing is changed") from error
            raise

    def _liken(self, descriptor: int) -> None:
        new = os.fstat(descriptor)
        if (new.st_uid, new.st_gid) != (self.status.st_uid, self.status.st_gid):
            try:
                os.fchown(descriptor, self.status.st_uid, self.status.st_gid)
            except PermissionError:
                reason = "its owner or group is another, and would not stay so"
                raise HostError(f"{self.path} is left as it was: {reason}; run as its owner, or as root") from None
        for name, value in self.attributes.items():
            try:
                os.setxattr(descriptor, name, value)
            except OSError:
                if name == _RIGHTS:
                    raise
        os.fchmod(descriptor, stat.S_IMODE(self.status.st_mode))


@contextmanager
def rewriting(path: Path, limit: int) -> Iterator[Original]:
    """The file to be changed; another process that changes it so waits until the body ends.

    limit: bytes that are read of it, and one more. Raises OSError where it cannot be read.
    """
    while True:
        target = Path(os.path.realpath(path, strict=True))
        with open_regular(target) as file:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_still(target, file):
                continue
            yield Original(target, os.fstat(file.fileno()), _attributes(file), file.read(limit + 1))
            return


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Whether a file has its name yet: whoever had the lock before has put another in its place."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _attributes(file: BinaryIO) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(file.fileno(), name) for name in os.listxattr(file.fileno())}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES):
            return {}
        raise
