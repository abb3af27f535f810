"""What an archive of a program's source shows of how it is built."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from pathlib import PurePosixPath as GuestPath

from vmgen_build.host.regular import open_regular
from vmgen_build.limits import SOURCE_HEADERS, SOURCE_LOOK, SOURCE_NAMES, TAR_HEADER

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def top_names(path: Path) -> frozenset[str]:
    """Names at the top of the source tree: of the archive's one folder, or of itself where it has several things.

    As far as the limits let it be read. Empty where it is no archive that is read here (tar by gzip, bzip2 or xz; zip).
    Raises OSError.
    """
    try:
        found = [parts for name in _names(path) if (parts := _parts(name))]
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        ValueError,
        NotImplementedError,
        RecursionError,
    ):
        return frozenset()
    tops = {parts[0] for parts in found}
    depth = 1 if len(tops) == 1 and any(len(parts) > 1 for parts in found) else 0
    return frozenset(parts[depth] for parts in found if len(parts) == depth + 1)


def _parts(name: str) -> tuple[str, ...]:
    parts = GuestPath(name).parts
    return () if parts[:1] == ("pax_global_header",) else parts


class _Member(tarfile.TarInfo):
    """What holds names or lists of a file's parts is read into memory whole, before tarfile gives a member."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or found.type == tarfile.GNUTYPE_SPARSE:
            raise ValueError("a file of it is sparse, or of a size below zero")
        if found.type in _EXTENDED and found.size > TAR_HEADER.amount:
            raise ValueError(f"a header stands in it: {TAR_HEADER.exceeded}")
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:
        """tarfile's reader of a list of parts without end (tar(5), "GNU.sparse.major")."""
        raise ValueError("a file of it is sparse")


class _Bounded(io.BufferedReader):
    """zipfile reads a whole central directory at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = SOURCE_HEADERS.amount + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) == most:
            raise ValueError(SOURCE_HEADERS.exceeded)
        return data


def _names(path: Path) -> Iterator[str]:
    with open_regular(path) as file:
        bounded = _Bounded(io.FileIO(file.fileno(), closefd=False))
        if zipfile.is_zipfile(bounded):
            with zipfile.ZipFile(bounded) as archive:
                yield from archive.namelist()[: SOURCE_NAMES.amount]
            return
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member) as tar:
            yield from _members(tar)


def _members(tar: tarfile.TarFile) -> Iterator[str]:
    read = headers = 0
    for count, member in enumerate(tar):
        yield member.name
        read += member.size
        headers += member.offset_data - member.offset
        if count >= SOURCE_NAMES.amount or read > SOURCE_LOOK.amount or headers > SOURCE_HEADERS.amount:
            return
