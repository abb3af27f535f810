"""The tar form of an OVA: USTAR headers of plain files, and beyond 8 GiB, which USTAR cannot say, GNU's."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vmgen_build.limits import OVA_FILES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = tarfile.BLOCKSIZE
USTAR_LIMIT = 8**11
"""The size field holds eleven octal digits."""

LONGEST_NAME = tarfile.LENGTH_NAME
_MAGIC = {b"ustar\x0000": "USTAR", b"ustar  \0": "GNU"}
_KINDS = {b"x": "a PAX header", b"g": "a global PAX header", b"L": "a GNU long name", b"K": "a GNU long link"}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """offset: byte of the archive where its data begins."""

    name: str
    size: int
    offset: int


def header(name: str, size: int, epoch: int) -> bytes:
    """Raises ValueError for a name that a USTAR header cannot hold."""
    if len(name.encode()) > LONGEST_NAME or "/" in name:
        raise ValueError(f"{name!r} cannot be a file of an OVA: use up to {LONGEST_NAME} bytes, and no slash")
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, max(epoch, 0), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT if size < USTAR_LIMIT else tarfile.GNU_FORMAT, "utf-8", "strict")


def padding(size: int, unit: int = BLOCK) -> bytes:
    """What fills up `size` bytes to a whole number of units."""
    return bytes(-size % unit)


def walk(file: IO[bytes], size: int) -> tuple[list[Member], list[str]]:
    """The members of an archive of `size` bytes, and each rule that its headers, or its end, break."""
    members: list[Member] = []
    findings: list[str] = []
    position = count = 0
    while True:
        file.seek(position)
        block = file.read(BLOCK)
        if not any(block):
            findings += _end(file, block)
            return members, findings
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.TarError:
            return members, [*findings, f"at byte {position}: this is no header of a tar archive"]
        findings += [f"{info.name}: {finding}" for finding in _header(block, info)]
        position += BLOCK
        if info.size < 0:
            return members, [*findings, f"{info.name}: its size is below zero"]
        count += 1
        if count > OVA_FILES.amount:
            return members, [*findings, f"there are too many files in it: {OVA_FILES.exceeded}"]
        if info.size > size - position:
            return members, [*findings, f"{info.name}: the archive ends before the {info.size} bytes of this file"]
        if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            members.append(Member(info.name, info.size, position))
        position += info.size + len(padding(info.size))


def _header(block: bytes, info: tarfile.TarInfo) -> Iterator[str]:
    kind = _MAGIC.get(block[257:265], "V7")
    if info.type != tarfile.REGTYPE:
        what = _KINDS.get(info.type, f"an entry of type {info.type.decode('latin-1')!r}")
        yield f"it is {what}; an OVA holds plain files only"
        return
    if kind != ("USTAR" if info.size < USTAR_LIMIT else "GNU"):
        yield f"its tar header is of the {kind} format, and not USTAR (GNU above 8 GiB)"
    if (info.uid, info.gid) != (0, 0) or {info.uname, info.gname} - {"", "root"}:
        yield f"its owner is {info.uid}:{info.gid} ({info.uname}:{info.gname}), and not 0:0"
    if info.mode & 0o7777 != 0o644:
        yield f"its mode is {info.mode & 0o7777:04o}, and not 0644"
    if "/" in info.name:
        yield "its name has a folder, and importers look for files beside the descriptor"


def _end(file: IO[bytes], first: bytes) -> Iterator[str]:
    second = file.read(BLOCK)
    if len(first) < BLOCK or len(second) < BLOCK:
        yield "the archive does not end with two blocks of zeros: it is cut off, or was not written to its end"
    while second:
        if any(second):
            yield "there is something behind the end of the archive"
            return
        second = file.read(_CHUNK)


class MemberReader(io.RawIOBase):
    """A member as a file to be read once, front to back; `update` sees every byte that was read. It closes nothing."""

    def __init__(self, file: IO[bytes], member: Member, update: Callable[[memoryview], object] | None = None) -> None:
        super().__init__()
        self.name = member.name
        self._file, self._left, self._update = file, member.size, update
        file.seek(member.offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)[: self._left]
        got = self._file.readinto(view)  # type: ignore[attr-defined]
        self._left -= got
        if self._update:
            self._update(view[:got])
        return int(got)

    def drain(self) -> None:
        """Read what is left, for `update`."""
        buffer = bytearray(_CHUNK)
        while self.readinto(buffer):
            pass


def opened_member(archive: Path, member: Member) -> IO[bytes]:
    """A member to read; closing it closes the archive. Raises OSError."""
    file = archive.open("rb", buffering=0)
    return _Owning(file, member)


class _Owning(io.BufferedReader):
    """Buffered, so that small reads are cheap."""

    def __init__(self, file: io.FileIO, member: Member) -> None:
        super().__init__(MemberReader(file, member), _CHUNK)
        self._archive = file

    def close(self) -> None:
        super().close()
        self._archive.close()
