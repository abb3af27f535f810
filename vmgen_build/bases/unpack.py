"""A root file system out of a tar of others."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.host.files import sha256_in, sha256_of
from vmgen_build.host.run import start
from vmgen_build.text import LAST_LINES

TAR = ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "-xpf", "-", "-C")
"""GNU tar takes no path that leads out of the folder, by .. or by a link (its manual, "Security rules of thumb")."""


def unpack(archive: Path, sha256: str, root: Path) -> None:
    """Unpack a tar, compressed or not, into a new folder `root`, if its bytes have this sha256.

    Raises BuildError where it is another file or holds no root file system, StepFailed where it cannot be unpacked.
    """
    try:
        with archive.open("rb", buffering=0) as file:
            _compare(archive, sha256_in(file), sha256)
            file.seek(0)
            root.mkdir(parents=True)
            _unpack(archive, file, root)
    except OSError as error:
        raise BuildError(f"cannot unpack {archive}: {error.strerror}; check the file and its permissions") from error
    check_root(root, str(archive))


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


def _unpack(archive: Path, file: IO[bytes], root: Path) -> None:
    plain: IO[bytes] = file
    command = decompressor(archive)
    processes = []
    with TemporaryFile() as errors:
        try:
            if command is not None:
                processes.append(start(command, stdin=file, stderr=errors))
                assert processes[0].stdout is not None
                plain = processes[0].stdout
            processes.append(start([*TAR, root], stdin=plain, stdout=errors, stderr=errors))
            if plain is not file:
                plain.close()
            codes = [process.wait() for process in reversed(processes)]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        if any(codes):
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
            raise StepFailed("base", next(filter(None, codes)), lines[-LAST_LINES:], None)
