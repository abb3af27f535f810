"""A tar archive of others, read once and front to back (POSIX.1-2017, pax; tar(5) of libarchive for GNU's headers).

Python's tarfile believes sizes below zero, reads headers of any size into memory, and hands out the 2^50 zeros of a
sparse file: here each header is checked before anything follows from it.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from vmgen_build.limits import TAR_CONTENT, TAR_ENTRIES, TAR_HEADER

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_PAX, _GLOBAL_PAX, _LONG_NAME, _LONG_LINK = b"x", b"g", tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


@dataclass(frozen=True, slots=True)
class TarEntry:
    """size: bytes of its data; 0 for what is no file. kind: its type flag. mode: permissions alone. link: what a link
    leads to. device: major and minor number."""

    name: str
    is_file: bool
    size: int
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)


class Files(Protocol):
    """Files one after the other, as a TarStream gives them."""

    def entries(self) -> Iterator[TarEntry]: ...

    def read(self, size: int = -1, /) -> bytes | None: ...


def exactly(files: Files, size: int) -> bytes:
    """The first bytes of the file that was given last; fewer where it has fewer."""
    data = b""
    while len(data) < size and (more := files.read(size - len(data))):
        data += more
    return data


class TarStream(io.RawIOBase):
    """`entries` gives the entries; reading gives the data of the one that was given last.

    Raises ValueError: for what is no tar, is cut off, is sparse, or is more than a limit allows.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._left = self._padding = self._entries = self._content = 0

    def entries(self) -> Iterator[TarEntry]:
        while True:
            more: dict[str, str] = {}
            while True:
                info = self._header()
                if info is None:
                    return
                if info.type in (_LONG_NAME, _LONG_LINK):
                    field = "path" if info.type == _LONG_NAME else "linkpath"
                    more[field] = _decoded(self._payload(info).rstrip(b"\0"))
                elif info.type in (_PAX, tarfile.SOLARIS_XHDTYPE):
                    names = {field: text for field, text in more.items() if field in ("path", "linkpath")}
                    more = {**names, **_records(self._payload(info))}
                elif info.type == _GLOBAL_PAX:
                    _records(self._payload(info))
                else:
                    break
            yield self._begun(info, more)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)[: self._left]
        data = self._file.read(len(view))
        if view and not data:
            raise ValueError("the archive ends within a file")
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def _begun(self, info: tarfile.TarInfo, more: dict[str, str]) -> TarEntry:
        """more: what headers before it say of it, in the names of pax."""
        name = more.get("path") or info.name
        size = _size(more["size"]) if "size" in more else info.size
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise ValueError(f"{name!a} is a sparse file, which is not read")
        self._entries += 1
        if self._entries > TAR_ENTRIES.amount:
            raise ValueError(f"it has too many entries: {TAR_ENTRIES.exceeded}")
        size = 0 if info.type in _WITHOUT_DATA else size
        is_file = info.type in _FILES and not name.endswith("/")
        if size and info.type in _FILES and not is_file:
            raise ValueError(f"{name!a} is named as a folder and has data")
        self._content += size
        if self._content > TAR_CONTENT.amount:
            raise ValueError(f"its files are too large: {TAR_CONTENT.exceeded}")
        self._left, self._padding = size, -size % BLOCK
        return TarEntry(
            name=name,
            is_file=is_file,
            size=size,
            kind=info.type,
            mode=info.mode & 0o7777,
            uid=_owner(more.get("uid"), info.uid),
            gid=_owner(more.get("gid"), info.gid),
            link=more.get("linkpath") or info.linkname,
            device=(info.devmajor, info.devminor),
        )

    def _header(self) -> tarfile.TarInfo | None:
        """The next one, behind what is left of the entry before it; None at the end of the archive."""
        self._skip(self._left)
        self._skip(self._padding)
        self._left = self._padding = 0
        block = self._taken(BLOCK)
        if not any(block):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.TarError as error:
            raise ValueError(f"it has a damaged header: {error}") from error
        if block[156:157] == tarfile.AREGTYPE and info.isdir():
            # tarfile goes by the header's own name; GNU tar by the name that holds in the end.
            info.type, info.name = tarfile.AREGTYPE, info.name + "/"
        if info.size < 0:
            raise ValueError(f"{info.name!a} has a size below zero")
        return info

    def _payload(self, info: tarfile.TarInfo) -> bytes:
        if info.size > TAR_HEADER.amount:
            raise ValueError(f"a header of {info.size} bytes stands in it: {TAR_HEADER.exceeded}")
        self._entries += 1
        if self._entries > TAR_ENTRIES.amount:
            raise ValueError(f"it has too many headers: {TAR_ENTRIES.exceeded}")
        data = self._taken(info.size)
        self._skip(-info.size % BLOCK)
        return data

    def _taken(self, size: int) -> bytes:
        data = self._file.read(size)
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        if len(data) < size:
            raise ValueError("the archive is cut off")
        return data

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._taken(min(size, _CHUNK)))


_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]+)=")


def _records(data: bytes) -> dict[str, str]:
    """Of a pax header: "LENGTH NAME=VALUE\\n", the length in bytes that of the whole record."""
    found: dict[str, str] = {}
    position = 0
    while match := _RECORD.match(data, position):
        end = position + int(match[1])
        if end > len(data) or data[end - 1 : end] != b"\n" or end <= match.end():
            break
        found[_decoded(match[2])] = _decoded(data[match.end() : end - 1])
        position = end
    if any(data[position:]):
        raise ValueError("it has a damaged pax header")
    if any(name.startswith("GNU.sparse") for name in found):
        raise ValueError("it holds a sparse file, which is not read")
    return found


def _size(text: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text):
        raise ValueError("it has a pax header whose size is no number of bytes")
    return int(text)


def _owner(text: str | None, number: int) -> int:
    """text: as pax has it. Raises ValueError for what is no number."""
    if text is None:
        return number
    if not re.fullmatch("[0-9]{1,19}", text):
        raise ValueError("it has a pax header whose owner is no number")
    return int(text)


def _decoded(data: bytes) -> str:
    """Two names are two, be they text or not."""
    return data.decode("utf-8", "backslashreplace")
