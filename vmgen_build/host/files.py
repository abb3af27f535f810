"""Files that appear under their name whole, or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from vmgen_build.errors import HostError
from vmgen_build.host.owners import changed_by_others
from vmgen_build.host.regular import open_regular
from vmgen_build.text import size as in_words

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: its size in bytes and sha256 (hex)."""

    path: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Written:
        """A file that is there, read for its sum. Raises OSError."""
        return cls(path, path.stat().st_size, sha256_of(path))


class Hashed:
    """Passes on what is written to a file, and knows its size and sha256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.digest = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        return self._file.write(data)


def sha256_of(path: Path) -> str:
    """Raises OSError where the file cannot be read."""
    with open_regular(path) as file:
        return sha256_in(file)


def sha256_in(file: IO[bytes]) -> str:
    """Of what the open file holds from where it stands. Raises OSError."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def require_own_output(folder: Path) -> None:
    """Raises HostError where users beside its owner can exchange files in a folder, by its mode or of those above."""
    if reason := changed_by_others(folder, above=True):
        raise HostError(
            f"what is written to {folder} could be exchanged by others: {reason}, and it is not sticky."
            " Take their right away (chmod go-w), make it sticky (chmod +t), or choose another folder with --output"
        )


_PRIVATE: ContextVar[bool] = ContextVar("private", default=False)


@contextmanager
def private_files(private: bool = True) -> Iterator[None]:
    """Within it the files of whole_file hold secrets, and are their owner's alone: mode 0600, else 0644."""
    before = _PRIVATE.set(private)
    try:
        yield
    finally:
        _PRIVATE.reset(before)


_PUBLISHED: ContextVar[tuple[list[Path], ...]] = ContextVar("published", default=())


@contextmanager
def published() -> Iterator[list[Path]]:
    """Yields the files that whole_file brings to their names within it, in their order, each as soon as it is there."""
    files: list[Path] = []
    before = _PUBLISHED.set((*_PUBLISHED.get(), files))
    try:
        yield files
    finally:
        _PUBLISHED.reset(before)


def write_private(path: Path, content: str | bytes) -> None:
    """A new file that its owner alone can read, at any moment. Raises OSError, also where there is one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(goal: Path) -> Iterator[BinaryIO]:
    """A file beside `goal` to write to, `.NAME.part-TOKEN`; it becomes `goal` when the body ends well.

    It is on the disk before it gets its name. Any exception removes it; what a killed process left is removed when the
    same goal is written again: the part file is locked (flock) as long as its writer lives.
    Raises HostError where the folder cannot be written to; ENOSPC and its like pass through from the body.
    """
    _reap(goal)
    part, file = _create(goal)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(goal)
        for files in _PUBLISHED.get():
            files.append(goal)
        _sync_folder(goal.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(goal: Path, text: str) -> None:
    """Replace `goal` by a file that holds `text`, no secret. Raises HostError."""
    try:
        with private_files(False), whole_file(goal) as file:
            file.write(text.encode())
    except OSError as error:
        raise HostError(f"cannot write {goal}: {error.strerror}; make room there, or choose another folder") from error


def folder_for_large_files() -> Path:
    """For those that are gone with this process: $TMPDIR, else /var/tmp (file-hierarchy(7)): /tmp may be memory."""
    named, large = os.environ.get("TMPDIR"), Path("/var/tmp")  # noqa: S108
    from tempfile import gettempdir

    return large if not named and os.access(large, os.W_OK) else Path(gettempdir())


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(goal: Path, need: int, *, at_most: bool = False) -> HostError:
    """The disk where `goal` was to be written is full. need: bytes of the file, or at_most that many."""
    free = shutil.disk_usage(goal.parent).free
    wanted = f"{'up to ' if at_most else ''}{in_words(need)}"
    return HostError(
        f"the disk of {goal.parent} is full: {in_words(free)} are free, and {goal.name} needs {wanted};"
        " make room there, or choose another folder with --output"
    )


def _create(goal: Path) -> tuple[Path, BinaryIO]:
    """A new part file, locked. One that another process took for an orphan before it was locked is made anew."""
    while True:
        part = goal.with_name(f".{goal.name}.part-{secrets.token_hex(8)}")
        try:
            file = open(part, "wb", opener=_new)  # noqa: SIM115
        except OSError as error:
            raise HostError(
                f"cannot write to the folder {goal.parent}: {error.strerror}; choose another with --output"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        if os.fstat(file.fileno()).st_nlink:
            if not _PRIVATE.get():
                os.fchmod(file.fileno(), 0o644)
            return part, file
        file.close()


def _new(name: str, _flags: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _reap(goal: Path) -> None:
    reap_parts(goal.parent, goal.name)


def reap_parts(folder: Path, name: str | None = None) -> None:
    """Remove the part files of this user's dead processes, and nothing else that has such a name. name: of one goal.

    One may belong to the user that it was lent to when its writer was killed (host.confined).
    """
    from vmgen_build.host.confined import user

    owners = (os.geteuid(), user())
    form = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.part-[0-9a-f]+")
    for old in folder.glob(".*.part-*"):
        if not form.fullmatch(old.name):
            continue
        try:
            with open_regular(old, follow=False) as file:
                if os.fstat(file.fileno()).st_uid in owners:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    old.unlink(missing_ok=True)
        except OSError:
            continue


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
