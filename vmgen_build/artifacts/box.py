"""A box of Vagrant: a tar, compressed or not, of metadata.json, a Vagrantfile and what the provider takes ("Box file
format" of Vagrant's documentation)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from vmgen_build.artifacts.boxnames import METADATA
from vmgen_build.artifacts.tarstream import TarEntry, TarStream
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import check_reserve
from vmgen_build.host.files import is_full
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import BOX_FILES

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


def take_out(box: Path, wanted: Mapping[str, Path]) -> None:
    """Write some files of a box, which is of others, to new ones. wanted: name in the box -> goal.

    Raises BuildError where it is no sound box or lacks one of them, HostError."""
    found: set[str] = set()
    try:
        with open_regular(box) as file, _plain(file, box.name) as content:
            tar = TarStream(content)
            for entry in tar.entries():
                name = _checked(entry, found)
                found.add(name)
                if name in wanted:
                    _copy(tar, wanted[name])
    except ValueError as error:
        raise BuildError(f"{box} is no box: {error}; build it anew") from error
    except OSError as error:
        raise BuildError(f"{box} cannot be read: {error.strerror}") from error
    if lacking := sorted({METADATA, *wanted} - found):
        raise BuildError(f"{box} is no box of this machine: it lacks {', '.join(lacking)}; build it anew")


@contextmanager
def _plain(file: BinaryIO, name: str) -> Iterator[IO[bytes]]:
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not packed:
        yield file
        return
    from vmgen_build.artifacts.gzipped import gzip_content

    with gzip_content(file, name) as content:
        yield content


def _checked(entry: TarEntry, others: Collection[str]) -> str:
    """Its name. Raises ValueError."""
    if not entry.is_file or "/" in entry.name:
        raise ValueError(f"{entry.name!a} is no file of a box")
    if entry.name in others:
        raise ValueError(f"{entry.name!a} is in it twice")
    if len(others) >= BOX_FILES.amount:
        raise ValueError(BOX_FILES.exceeded)
    return entry.name


def _copy(tar: TarStream, goal: Path) -> None:
    source = cast(IO[bytes], tar)
    try:
        with goal.open("xb") as file:
            while chunk := source.read(_CHUNK):
                check_reserve("the box", goal.parent)
                file.write(chunk)
    except OSError as error:
        what = f"the disk of {goal.parent} is full" if is_full(error) else f"cannot write {goal}: {error.strerror}"
        raise HostError(f"{what}; make room there") from error
