"""Writing an OVA: the same bytes for the same files, in constant memory, hashed on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from vmgen_build.artifacts.ova.check import check_opened
from vmgen_build.artifacts.ova.tar import BLOCK, header, padding
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, is_full, no_room, whole_file

DIGESTS = ("sha256", "sha1")
"""vSphere 8 refuses sha1, vSphere before 6.5 sha256."""

_CHUNK = 1 << 20
_RECORD = 20 * BLOCK
"""A tar archive is a whole number of these."""


def write_ova(
    goal: Path,
    descriptor: str,
    files: Sequence[Written],
    *,
    epoch: int,
    digest: str = "sha256",
    again: bool = False,
) -> Written:
    """Write NAME.ovf and NAME.mf, for a goal NAME.ova, and then `files`: what the descriptor's References name, in
    their order, each under its own file name. epoch: the time of each entry, in seconds.

    digest: of the manifest, one of DIGESTS. again: whether it is read again, and checked whole, before it counts.
    Raises BuildError where the descriptor is wrong or does not fit the files, a file changed meanwhile, or what was
    written is not sound, HostError (disk full, unreadable file); then there is no new file, and an old `goal` stands as
    it was.
    """
    if digest not in DIGESTS:
        raise ValueError(f"digest {digest!r} is none of {', '.join(DIGESTS)}")
    text = descriptor.encode()
    _check(text, files)
    sums = {f"{goal.stem}.ovf": hashlib.new(digest, text).hexdigest()}
    sums |= {file.path.name: file.sha256 if digest == "sha256" else _sum(file, digest) for file in files}
    manifest = "".join(f"{digest.upper()}({name})= {value}\n" for name, value in sums.items()).encode()
    try:
        with whole_file(goal) as out:
            archive = _Archive(out, epoch)
            archive.add(f"{goal.stem}.ovf", len(text), [text])
            archive.add(f"{goal.stem}.mf", len(manifest), [manifest])
            for file in files:
                archive.add(file.path.name, file.size, _content(file))
            archive.end()
            if again:
                _check_written(goal, out)
    except OSError as error:
        if is_full(error):
            raise no_room(goal, sum(file.size for file in files)) from error
        raise BuildError(f"cannot write {goal}: {error.strerror}") from error
    return Written(goal, archive.size, archive.digest.hexdigest())


def _check(text: bytes, files: Sequence[Written]) -> None:
    try:
        found = read_descriptor(text)
    except ValueError as error:
        raise BuildError(f"cannot pack the OVA: {error}") from error
    if found.findings:
        raise BuildError("cannot pack the OVA: " + "; ".join(found.findings))
    wanted = [(reference.name, reference.size) for reference in found.references]
    given = [(file.path.name, file.size) for file in files]
    if wanted != given:
        raise BuildError(
            f"cannot pack the OVA: its descriptor refers to {_listed(wanted)}, and the files are {_listed(given)}"
        )


def _check_written(goal: Path, out: BinaryIO) -> None:
    """Raises BuildError."""
    out.flush()
    with os.fdopen(os.dup(out.fileno()), "rb") as file:
        findings = check_opened(file)
    if findings:
        raise BuildError(f"{goal.name} is not sound as it was packed: {'; '.join(findings)}")


def _listed(files: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({size} bytes)" for name, size in files) or "nothing"


class _Archive:
    """digest, size: of all that was written."""

    def __init__(self, out: BinaryIO, epoch: int) -> None:
        self._out, self._epoch = out, epoch
        self.digest, self.size = hashlib.sha256(), 0

    def add(self, name: str, size: int, content: Iterator[bytes] | Sequence[bytes]) -> None:
        try:
            self._put(header(name, size, self._epoch))
        except ValueError as error:
            raise BuildError(str(error)) from error
        start = self.size
        for chunk in content:
            self._put(chunk)
        if self.size - start != size:
            raise BuildError(f"{name} has {self.size - start} bytes now, and {size} when it was made; pack it anew")
        self._put(padding(size))

    def end(self) -> None:
        self._put(bytes(2 * BLOCK))
        self._put(padding(self.size, _RECORD))

    def _put(self, data: bytes) -> None:
        self._out.write(data)
        self.digest.update(data)
        self.size += len(data)


def _content(file: Written) -> Iterator[bytes]:
    """At most one byte more than the file had: enough to tell that it grew."""
    left = file.size + 1
    try:
        with file.path.open("rb", buffering=0) as source:
            while chunk := source.read(min(_CHUNK, left)):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise HostError(f"cannot read {file.path}: {error.strerror}") from error


def _sum(file: Written, digest: str) -> str:
    total = hashlib.new(digest)
    for chunk in _content(file):
        total.update(chunk)
    return total.hexdigest()
