"""A tar of a root file system that others wrote, checked while it passes on its way to tar(1).

What goes through is what GNU tar writes of a tree, in its own format or in that of POSIX (pax): files, folders, links,
devices and pipes, each below the tree. Formats: tar(5); the GNU tar manual, "Basic Tar Format"; POSIX.1-2001, pax.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vmgen_build.limits import ROOT_BYTES, ROOT_DEPTH, ROOT_ENTRIES, ROOT_HEADER, ROOT_NAMES, ROOT_TIME, Limit
from vmgen_build.text import clean

BLOCK = 512
_CHUNK = 1 << 20
_TRAILING = 1 << 20
"""Zero bytes that may follow the last entry: tar fills its last record."""
_PATH_MAX = 4096
_FEW = 256
"""Entries after which it is looked whether there is room, though they hold no data."""

_FILE, _HARD, _SYMLINK, _FOLDER, _PAX, _LONG_NAME, _LONG_LINK = b"0", b"1", b"2", b"5", b"x", b"L", b"K"
_KINDS = frozenset({b"\0", _FILE, _HARD, _SYMLINK, b"3", b"4", _FOLDER, b"6"})
_PAX_NAMES = frozenset({"path", "linkpath", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
_PAX_FAMILIES = ("SCHILY.xattr.", "SCHILY.acl.", "RHT.security.")


class Refused(Exception):
    """The tar is not what it should be; the text says what is wrong with it."""


@dataclass(slots=True)
class _Entry:
    """kind: the type flag. size: of its data. name, link: as the headers before it have them too."""

    kind: bytes
    name: bytes
    link: bytes
    size: int


class RootStream:
    """source: the plain tar. pause: called after each piece of a file's data, and after some entries, to look
    whether there is room."""

    def __init__(self, source: BinaryIO, pause: Callable[[], None]) -> None:
        self._source, self._pause = source, pause
        self._end = time.monotonic() + ROOT_TIME.amount
        self._symlinks: set[bytes] = set()
        self._counts = {ROOT_ENTRIES.name: 0, ROOT_BYTES.name: 0, ROOT_NAMES.name: 0}

    def pieces(self) -> Iterator[bytes]:
        """The tar's bytes, each entry after it was looked at. Raises Refused; the source's own errors pass."""
        before: dict[bytes, bytes] = {}
        while True:
            block = self._exactly(BLOCK)
            if not block.strip(b"\0"):
                self._only_zeros()
                yield bytes(2 * BLOCK)
                return
            entry = _parsed(block)
            if entry.kind in (_PAX, _LONG_NAME, _LONG_LINK):
                data = self._extra(entry, before)
                before[entry.kind] = data[: entry.size]
                yield block + data
                continue
            self._complete(entry, before)
            before = {}
            self._judge(entry)
            yield block
            yield from self._data(entry.size)

    def _extra(self, entry: _Entry, before: dict[bytes, bytes]) -> bytes:
        """A header that says more of the next one, with its padding."""
        if entry.size > ROOT_HEADER.amount:
            raise Refused(f"a header of {entry.size} bytes: {ROOT_HEADER.exceeded}")
        if entry.kind in before or (before and _PAX in (entry.kind, *before)):
            raise Refused("an entry has two headers that say the same")
        self._spend(ROOT_BYTES, entry.size)
        return self._exactly(_padded(entry.size))

    def _complete(self, entry: _Entry, before: dict[bytes, bytes]) -> None:
        fields = _pax(before.get(_PAX, b""))
        entry.name = fields.get("path", before.get(_LONG_NAME, entry.name).rstrip(b"\0"))
        entry.link = fields.get("linkpath", before.get(_LONG_LINK, entry.link).rstrip(b"\0"))
        if "size" in fields:
            entry.size = _decimal(fields["size"])

    def _judge(self, entry: _Entry) -> None:
        if entry.kind not in _KINDS:
            raise Refused(f"{_shown(entry.name)} is of the kind {_shown(entry.kind)}, which no file system holds")
        if entry.size and entry.kind not in (_FILE, b"\0"):
            raise Refused(f"{_shown(entry.name)} is no file and has data")
        if entry.name.endswith(b"/") and entry.kind != _FOLDER:
            raise Refused(f"{_shown(entry.name)} is no folder, and tar takes it for one by its name")
        self._spend(ROOT_ENTRIES, 1)
        self._spend(ROOT_BYTES, entry.size)
        self._spend(ROOT_NAMES, len(entry.name) + len(entry.link))
        parts = self._path(entry.name)
        if not parts and entry.kind != _FOLDER:
            raise Refused("its top is no folder")
        own = b"/".join(parts)
        if own in self._symlinks:
            raise Refused(f"{_shown(entry.name)} is there twice, and a link the first time")
        if entry.kind == _HARD and b"/".join(self._path(entry.link)) in self._symlinks:
            self._symlinks.add(own)
        if entry.kind == _SYMLINK:
            if not entry.link or b"\0" in entry.link or len(entry.link) > _PATH_MAX:
                raise Refused(f"the link {_shown(entry.name)} leads nowhere")
            self._symlinks.add(own)
        if time.monotonic() > self._end:
            raise Refused(ROOT_TIME.exceeded)
        if self._counts[ROOT_ENTRIES.name] % _FEW == 0:
            self._pause()

    def _path(self, name: bytes) -> list[bytes]:
        """Its parts. Raises Refused where it leads out of the tree, or through a link that came before."""
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if name.startswith(b"/") or b".." in parts or b"\0" in name or not name or len(name) > _PATH_MAX:
            raise Refused(f"the name {_shown(name)} is none of a file below the root")
        if len(parts) > ROOT_DEPTH.amount:
            raise Refused(f"{_shown(name)} lies too deep: {ROOT_DEPTH.exceeded}")
        above = b""
        for part in parts[:-1] if self._symlinks else ():
            above = above + b"/" + part if above else part
            if above in self._symlinks:
                raise Refused(f"{_shown(name)} leads through the link {_shown(above)}")
        return parts

    def _data(self, size: int) -> Iterator[bytes]:
        left = _padded(size)
        while left:
            piece = self._exactly(min(left, _CHUNK))
            left -= len(piece)
            yield piece
            if time.monotonic() > self._end:
                raise Refused(ROOT_TIME.exceeded)
            self._pause()

    def _spend(self, limit: Limit, amount: int) -> None:
        self._counts[limit.name] += amount
        if self._counts[limit.name] > limit.amount:
            raise Refused(limit.exceeded)

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise Refused("it is cut short")
        return data

    def _only_zeros(self) -> None:
        left = _TRAILING
        while data := self._source.read(1 << 16):
            left -= len(data)
            if left < 0 or data.strip(b"\0"):
                raise Refused("something follows its end")


def _parsed(block: bytes) -> _Entry:
    """Raises Refused for what is no header. The sum is taken with blanks in the place of its own field."""
    if _octal(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise Refused("it is no tar, or damaged: the sum of a header is wrong")
    name, link = block[:100].split(b"\0", 1)[0], block[157:257].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return _Entry(block[156:157], name, link, _size(block[124:136]))


def _size(field: bytes) -> int:
    """Octal digits, or base 256 where the first bit is set; then the next bit is a sign."""
    if not field[0] & 0x80:
        return _octal(field)
    if field[0] != 0x80:
        raise Refused("the size of an entry is negative")
    return int.from_bytes(field[1:], "big")


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise Refused("it is no tar, or damaged: a header holds a number that is none")
    return int(digits or b"0", 8)


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise Refused(f"the size {_shown(value)} is no number")
    return int(value)


def _pax(data: bytes) -> dict[str, bytes]:
    """Records of "LENGTH NAME=VALUE\\n", where LENGTH counts all of it. Raises Refused for a name that is not known."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        digits = data[at : at + 8].partition(b" ")[0]
        length = _decimal(digits)
        record = data[at : at + length]
        head, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        name = head.decode("utf-8", "replace")
        if len(record) != length or not equals or record[-1:] != b"\n":
            raise Refused("a pax header is damaged")
        if name in found or not (name in _PAX_NAMES or name.startswith(_PAX_FAMILIES)):
            raise Refused(f"a pax header says '{clean(name)[:80]}', which is not taken, or says it twice")
        found[name] = value
        at += length
    return found


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _shown(name: bytes) -> str:
    text = clean(name.decode("utf-8", "replace"))
    return f"'{text if len(text) <= 80 else text[:77] + '...'}'"
