"""Images of disks from one format to another, by qemu-img(1), which runs confined (host.confined).

A format is known, never guessed from the content, which a guest has written. What leads to other files is refused."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.disk.tools import copy_data
from vmgen_build.artifacts.disk.vhd import check_vhd
from vmgen_build.artifacts.disk.vhdx import check_vhdx
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.vmdk.alone import check_alone
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import check_reserve, lent, output_confined, user
from vmgen_build.host.files import Written, whole_file
from vmgen_build.host.inmemory import name_of

_CHECKS: Mapping[str, Callable[[IO[bytes]], int]] = {
    "qcow2": check_qcow2,
    "vmdk": check_alone,
    "vpc": check_vhd,
    "vhdx": check_vhdx,
}


def convert(
    disk: Disk,
    goal: Path,
    form: str,
    *,
    options: str = "",
    compressed: bool = False,
    settle: Callable[[int], None] | None = None,
) -> Written:
    """The disk, which is ours, as a new file of the format `form`, in which what is empty takes no room. compressed: of
    clusters, for qcow2 alone.

    options: of the format, as qemu-img's -o takes them. settle: sets in the new file, which is open to read and write,
    what qemu-img makes up anew each time; raises ValueError.

    Raises BuildError (the image is damaged, or not one file alone), HostError (no qemu-img, folder not writable); then
    there is no new file.
    """
    output = [form, *(["-o", options] if options else []), *(["-c"] if compressed else [])]
    with opened(disk.path) as source, whole_file(goal) as file, _lent(source.fileno()):
        _convert(source, disk, file, output, goal.parent)
        if settle is not None:
            _settle(settle, file.fileno(), goal)
    return Written.of(goal)


def _settle(settle: Callable[[int], None], fd: int, goal: Path) -> None:
    try:
        settle(fd)
    except ValueError as error:
        raise BuildError(f"what qemu-img made of {goal.name} is unusable: {error}") from error


def to_raw(disk: Disk, raw: Path) -> None:
    """The disk as the new sparse image `raw`, for use on this host. Raises BuildError as `convert`, HostError."""
    with opened(disk.path) as source:
        raw_of(source, disk, raw)


def raw_of(source: BinaryIO, disk: Disk, raw: Path) -> None:
    """As `to_raw`, of an image that is open already."""
    with new_image(raw) as file:
        if disk.format == "raw":
            _copy(source, file, raw)
        else:
            with readable(source, raw.parent) as image:
                _convert(image, disk, file, ["raw"], raw.parent)


def raw_in(source: BinaryIO, disk: Disk, goal: IO[bytes], folder: Path) -> None:
    """The same into a new file that is open. source: one that confined programs may open; folder: that of the goal."""
    _convert(source, disk, goal, ["raw"], folder)


def taken_in(disk: Disk, goal: Path, form: str) -> None:
    """The disk, which is a user's and stays as it is, as the new image `goal` of the format `form`.

    Raises BuildError as `convert`, HostError.
    """
    with opened(disk.path) as source, readable(source, goal.parent) as image, new_image(goal) as file:
        _convert(image, disk, file, [form], goal.parent)


@contextmanager
def new_image(path: Path) -> Iterator[IO[bytes]]:
    """A new file to write an image to; where the body fails there is none. Raises HostError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}; make room there, or choose another folder") from error
    with os.fdopen(fd, "r+b", buffering=0) as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A disk image to read. Raises BuildError where it cannot be opened, or is no file; what the body raises is its
    own."""
    with ExitStack() as undo:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            undo.callback(os.close, fd)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
        except OSError as error:
            raise BuildError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from error
        yield undo.enter_context(os.fdopen(fd, "rb", closefd=False))


def _convert(source: BinaryIO, disk: Disk, goal: IO[bytes], output: Sequence[str], folder: Path) -> None:
    """source: one that the confined program may open. output: the new format, and its options. folder: that of the
    goal."""
    check_form(disk, source)
    fds = source.fileno(), goal.fileno()
    with _lent(goal.fileno()):
        command = ["qemu-img", "convert", "-f", disk.format, "-S", "4k", "-O", *output]
        output_confined([*command, *map(name_of, fds)], f"cannot read {disk.path}", fds, folder)


@contextmanager
def _lent(fd: int) -> Iterator[None]:
    """As host.confined's `lent`. Raises HostError."""
    with ExitStack() as undo:
        try:
            undo.enter_context(lent(fd))
        except OSError as error:
            why = f"cannot give a disk image to the program that reads it: {error.strerror}"
            raise HostError(f"{why}; choose another folder") from error
        yield


def check_form(disk: Disk, source: IO[bytes]) -> None:
    """Refuse what leads to other files. source: the disk's image. Raises BuildError."""
    if disk.format in _CHECKS:
        try:
            _CHECKS[disk.format](source)
        except ValueError as error:
            raise BuildError(f"{disk.path} is not read: {error}") from error
        except OSError as error:
            raise BuildError(f"cannot read {disk.path}: {error.strerror}; check the disk that it is on") from error


@contextmanager
def readable(source: BinaryIO, folder: Path) -> Iterator[BinaryIO]:
    """An image as a confined program may open it: itself where everybody may, else a copy without a name in `folder`.
    Raises BuildError where its disk has too little room for that, HostError."""
    if user() is None or os.fstat(source.fileno()).st_mode & stat.S_IROTH:
        yield source
        return
    with ExitStack() as undo:
        try:
            copy = undo.enter_context(TemporaryFile(dir=folder))
        except OSError as error:
            raise HostError(f"cannot write in {folder}: {error.strerror}; make room there") from error
        undo.enter_context(_lent(copy.fileno()))
        _copy(source, copy, folder, lambda: check_reserve("copying the image", folder))
        yield copy


def _copy(source: IO[bytes], goal: IO[bytes], where: Path, look: Callable[[], None] = lambda: None) -> None:
    """Sparse, to a file that is empty. look: called again and again. Raises HostError, and what `look` does."""
    try:
        os.ftruncate(goal.fileno(), os.fstat(source.fileno()).st_size)
        copy_data(source.fileno(), goal.fileno(), 0, look)
    except OSError as error:
        raise HostError(f"cannot write {where}: {error.strerror}; make room there") from error
