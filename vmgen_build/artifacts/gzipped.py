"""gzip on all cores: a row of members, each of a block of a fixed size (RFC 1952, 2.2: a file is one or more members).

The bytes depend on the input alone, never on the number of cores or the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import deflate

from vmgen_build.artifacts.pool import in_order
from vmgen_build.errors import BuildError

BLOCK = 1 << 20
"""Bytes of the input in one member. Larger ones are hardly smaller in sum: deflate looks back over 32 KiB."""

LEVEL = 3
"""libdeflate's; about zlib's 6 in size, several times as fast."""

_CHUNK = 1 << 20


def gzip_members(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The input, compressed; memory: a few blocks for each core."""
    return in_order(_member, _blocks(chunks), None)


@contextmanager
def gzip_content(source: Path | IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The content of all members, to be read; leaving the context reads what is left, so that every checksum is looked
    at. name: for messages. Raises BuildError where the file is damaged."""
    from isal import igzip, isal_zlib

    opened = cast(Callable[[Path | IO[bytes]], IO[bytes]], igzip.open)
    damage = cast(type[Exception], isal_zlib.error)
    try:
        with opened(source) as file:
            yield file
            while file.read(_CHUNK):
                pass
    except (OSError, EOFError, damage) as error:
        raise BuildError(f"{name} is damaged: {error}") from error


def _member(block: bytes) -> bytes:
    """libdeflate writes no time and no name."""
    return bytes(deflate.gzip_compress(block, LEVEL))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of BLOCK; an empty input is one empty piece, lest the file be none at all."""
    rest = bytearray()
    several = False
    for chunk in chunks:
        rest += chunk
        while len(rest) >= BLOCK:
            several = True
            yield bytes(rest[:BLOCK])
            del rest[:BLOCK]
    if rest or not several:
        yield bytes(rest)
