"""A root file system out of a tar or a squashfs of others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.disk.convert import opened, readable
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.host.confined import Reach, check_reserve, start_filter
from vmgen_build.host.files import sha256_in, sha256_of
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.programs import Requirement
from vmgen_build.host.remove import remove_tree
from vmgen_build.host.run import NULL, TICK, Process, TimeoutExpired, kill, start
from vmgen_build.limits import UNPACK_TIME
from vmgen_build.text import LAST_LINES

TAR = ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "-xpf", "-", "-C")
"""GNU tar takes no path that leads out of the folder, by .. or by a link (its manual, "Security rules of thumb")."""

READS_SQUASHFS = Requirement("sqfs2tar", "squashfs-tools-ng", "reads a squashfs")

_UNIFIED = ("metadata.yaml", "rootfs")
"""At the top of Incus' and our own images in one file: the root lies in the folder rootfs."""


def unpack(archive: Path, sha256: str, root: Path) -> None:
    """Unpack a tar, compressed or not, into a new folder `root`, if its bytes have this sha256. Of an lxc image in one
    file, the root is what its folder rootfs holds.

    Raises BuildError where it is another file or holds no root file system, StepFailed where it cannot be unpacked.
    """
    try:
        with archive.open("rb", buffering=0) as file:
            _compare(archive, sha256_in(file), sha256)
            root.mkdir(parents=True)
            untar(file, root)
    except OSError as error:
        raise BuildError(f"cannot unpack {archive}: {error.strerror}; check the file and its permissions") from error
    _lift(root)
    check_root(root, str(archive))


def unpack_squashfs(image: Path, sha256: str, root: Path) -> None:
    """Unpack a squashfs into a new folder `root`. A confined program reads it. Raises as `unpack`."""
    root.mkdir(parents=True)
    with opened(image) as file:
        _compare(image, sha256_in(file), sha256)
        with readable(file, root.parent) as source:
            _through([READS_SQUASHFS.command, name_of(source)], Reach((source.fileno(),)), NULL, root)
    check_root(root, str(image))


def untar(file: IO[bytes], folder: Path) -> None:
    """Unpack a tar, compressed or not, that is open, from its beginning into an empty folder. A confined program
    decompresses it. Raises StepFailed, BuildError where the disk is too full for it."""
    command = decompressor(Path(name_of(file)))
    file.seek(0)
    if command is None:
        _extract(file, folder, lambda errors: None)
    else:
        _through(command, Reach(), file, folder)


def check_digest(file: Path, sha256: str) -> None:
    """Raises BuildError where the file cannot be read or has another sha256."""
    try:
        _compare(file, sha256_of(file), sha256)
    except OSError as error:
        raise BuildError(f"cannot read {file}: {error.strerror}; check the file and its permissions") from error


def check_root(root: Path, source: str) -> None:
    """source: what the root was made of, for the message. Raises BuildError where it is no root file system."""
    if not looks_like_root(root):
        raise BuildError(f"{source} holds no root file system: it has neither bin nor usr at its top")


def looks_like_root(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in ("bin", "usr"))


def _compare(file: Path, found: str, wanted: str) -> None:
    if found != wanted.lower():
        raise BuildError(f"{file} has the sha256 {found}, and {wanted.lower()} is asked for; give that one")


def _lift(root: Path) -> None:
    """Make the root of an lxc image in one file the root."""
    inner = root / _UNIFIED[1]
    if looks_like_root(root) or not (root / _UNIFIED[0]).is_file() or inner.is_symlink() or not inner.is_dir():
        return
    whole = root.with_name(f"{root.name}-whole")
    root.rename(whole)
    (whole / _UNIFIED[1]).rename(root)
    remove_tree(whole)


def _through(command: Sequence[str], reach: Reach, source: IO[bytes] | int, folder: Path) -> None:
    """Unpack the tar that a confined program writes."""
    _extract(None, folder, lambda errors: start_filter(command, reach, source, errors))


def _extract(plain: IO[bytes] | None, folder: Path, writer: Callable[[IO[bytes]], Process | None]) -> None:
    """plain: the tar, None where the program that `writer` starts writes it. Raises StepFailed, BuildError."""
    processes: list[Process] = []
    with TemporaryFile() as errors:
        try:
            if (first := writer(errors)) is not None:
                processes.append(first)
                plain = first.stdout
            assert plain is not None
            processes.append(start([*TAR, folder], stdin=plain, stdout=errors, stderr=errors))
            if first is not None:
                plain.close()
            codes = _ended(processes, folder)
        finally:
            for process in processes:
                kill(process)
        if any(codes):
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
            raise StepFailed("base", next(filter(None, codes)), lines[-LAST_LINES:], None)


def _ended(processes: Sequence[Process], folder: Path) -> list[int]:
    """Exit codes, the last program's first. Raises BuildError where they take too much of time or of the disk."""
    end = time.monotonic() + UNPACK_TIME.amount
    while any(process.poll() is None for process in processes):
        check_reserve("unpacking the base system", folder)
        if time.monotonic() > end:
            raise BuildError(f"unpacking the base system was stopped: {UNPACK_TIME.exceeded}")
        with suppress(TimeoutExpired):
            processes[-1].wait(TICK)
            processes[0].wait(TICK)
    return [process.wait() for process in reversed(processes)]
