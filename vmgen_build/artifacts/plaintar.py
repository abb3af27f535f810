"""A tar of a few files of ours, in the order in which they are given: the same bytes each time."""

from __future__ import annotations

import errno
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from vmgen_build.artifacts.tarball import Encode
from vmgen_build.errors import HostError
from vmgen_build.host.files import Hashed, Written, is_full, whole_file

_CHUNK = 1 << 20


def write_files(
    goal: Path,
    small: Mapping[str, bytes],
    large: Mapping[str, Written],
    *,
    epoch: int,
    programs: Collection[str] = (),
    encode: Encode = iter,
) -> Written:
    """small, large: name in the tar -> content, or the file that has it, which follow in this order. epoch: seconds,
    the time of all. programs: names of those that are run. encode: what compresses the tar. Raises HostError; then
    there is no new file."""
    try:
        with whole_file(goal) as file:
            counted = Hashed(file)
            for piece in encode(_pieces(small, large, epoch, programs)):
                counted.write(piece)
    except OSError as error:
        what = f"the disk of {goal.parent} is full" if is_full(error) else f"cannot write {goal}: {error.strerror}"
        raise HostError(f"{what}; make room there, or choose another folder with --output") from error
    return Written(goal, counted.size, counted.digest.hexdigest())


def _pieces(
    small: Mapping[str, bytes], large: Mapping[str, Written], epoch: int, programs: Collection[str]
) -> Iterator[bytes]:
    total = 0
    for name, data in small.items():
        head = _header(name, len(data), epoch, 0o755 if name in programs else 0o644)
        total += len(head) + len(data) + -len(data) % tarfile.BLOCKSIZE
        yield head + data + bytes(-len(data) % tarfile.BLOCKSIZE)
    for name, written in large.items():
        head = _header(name, written.size, epoch, 0o644)
        total += len(head) + written.size + -written.size % tarfile.BLOCKSIZE
        yield head
        yield from _content(written)
        yield bytes(-written.size % tarfile.BLOCKSIZE)
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(total + end) % tarfile.RECORDSIZE)


def _content(written: Written) -> Iterator[bytes]:
    left = written.size
    with written.path.open("rb") as source:
        while left:
            chunk = source.read(min(_CHUNK, left))
            if not chunk:
                raise OSError(errno.EIO, f"{written.path.name} changed meanwhile")
            left -= len(chunk)
            yield chunk


def _header(name: str, size: int, epoch: int, mode: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, epoch, mode
    return entry.tobuf(tarfile.PAX_FORMAT)
