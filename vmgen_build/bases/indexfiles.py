"""Indexes of archives as text, within limits: they come from a mirror, and are compressed in many ways."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path

from vmgen_build.errors import BuildError
from vmgen_build.host.bounded import finish_within
from vmgen_build.host.regular import open_regular
from vmgen_build.host.run import PIPE, start
from vmgen_build.limits import INDEX_TEXT


def text_of(data: bytes, where: str) -> bytes:
    """Decompressed, by its first bytes: gzip, xz, zstd or none. Raises BuildError for more than INDEX_TEXT allows."""
    limit = INDEX_TEXT.amount
    try:
        if data.startswith(b"\x1f\x8b"):
            text = zlib.decompressobj(wbits=31).decompress(data, limit + 1)
        elif data.startswith(b"\xfd7zXZ"):
            text = lzma.LZMADecompressor(memlimit=limit).decompress(data, limit + 1)
        elif data.startswith(b"\x28\xb5\x2f\xfd"):
            text = _zstd(data)
        else:
            text = data
    except (zlib.error, lzma.LZMAError, ValueError) as error:
        raise BuildError(f"{where} is damaged: {error}; take another mirror") from error
    if len(text) > limit:
        raise BuildError(f"{where}: {INDEX_TEXT.exceeded}")
    return text


def text_of_file(path: Path) -> bytes:
    """A guest may have written it: no link is followed. Raises BuildError, also where it is no regular file."""
    return text_of(raw_file(path), path.name)


def raw_file(path: Path) -> bytes:
    """As it lies there. Raises BuildError for what is no regular file, and for more than INDEX_TEXT allows."""
    try:
        with open_regular(path, follow=False) as file:
            data = file.read(INDEX_TEXT.amount + 1)
    except OSError as error:
        raise BuildError(f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) > INDEX_TEXT.amount:
        raise BuildError(f"{path.name}: {INDEX_TEXT.exceeded}")
    return data


def _zstd(data: bytes) -> bytes:
    done = finish_within(start(["zstd", "-q", "-d", "-c"], stdin=PIPE, stderr=PIPE), INDEX_TEXT, data)
    if done.code != 0:
        raise ValueError(done.err.decode(errors="replace").strip() or f"zstd ended with {done.code}")
    return done.out
