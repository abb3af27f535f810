"""Raw disk images, compressed, and their block maps: what people write to a disk by dd or bmaptool."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.disk.content import extents
from vmgen_build.artifacts.disk.convert import new_image, opened
from vmgen_build.artifacts.progress import Progress
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import Reach, start_filter
from vmgen_build.host.files import Written, is_full, no_room, whole_file, write_whole
from vmgen_build.host.pipeline import pipeline
from vmgen_build.host.run import kill

BLOCK = 4096
"""Bytes of a block of a map."""

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)

_BMAP = """\
<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {block} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {checksum} </BmapFileChecksum>
    <BlockMap>
{ranges}    </BlockMap>
</bmap>
"""
"""Format 2.0 of bmap-tools (bmaptool(1), TransRead.py and BmapCreate.py of its source): numbers of blocks, both ends
of a range included; BmapFileChecksum is the sha256 of the file with zeros in its place."""


def compress_image(raw: Path, goal: Path, compression: Compression, progress: Progress | None = None) -> Written:
    """The image as one compressed file; the same bytes each time. progress: of the bytes read. Raises BuildError where
    it or the compressor fails, HostError; then there is no new file."""
    command = compression.command()
    assert command is not None
    digest, size = hashlib.sha256(), 0
    try:
        with (
            opened(raw) as source,
            whole_file(goal) as file,
            pipeline({command[0]: command}, stdin=source) as running,
        ):
            for chunk in iter(partial(running.output.read, _CHUNK), b""):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                if progress is not None:
                    progress(source.tell())
            if failure := running.failure():
                raise BuildError(f"packing failed: {failure}")
    except OSError as error:
        if is_full(error):
            raise no_room(goal, raw.stat().st_blocks * 512, at_most=True) from error
        raise BuildError(f"cannot write {goal}: {error.strerror}") from error
    return Written(goal, size, digest.hexdigest())


def write_block_map(raw: Path, goal: Path) -> Written:
    """Which blocks of the image hold something, with the digest of each range. Raises BuildError, HostError."""
    with opened(raw) as image:
        size = os.fstat(image.fileno()).st_size
        found = list(mapped_blocks(image, size))
        ranges = "".join(_range(image, first, last, size) for first, last in found)
    values = {
        "size": size,
        "block": BLOCK,
        "blocks": -(-size // BLOCK),
        "mapped": sum(last - first + 1 for first, last in found),
        "ranges": ranges,
    }
    checksum = hashlib.sha256(_BMAP.format(**values, checksum="0" * 64).encode()).hexdigest()
    write_whole(goal, _BMAP.format(**values, checksum=checksum))
    return Written.of(goal)


def mapped_blocks(image: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """First and last block of each range that holds more than zeros: whatever the image's file system keeps as data, so
    that an image has one map. size: of the image, bytes."""
    first = last = -1
    for number in _written(image, size):
        if first < 0:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last


def extract_image(source: BinaryIO, goal: Path, limit: int, command: list[str]) -> None:
    """The compressed image as the new sparse raw image `goal`. source: foreign. limit: the most bytes that the image
    may have. command: what decompresses its standard input.

    Raises BuildError where it is damaged or too large, HostError."""
    with tempfile.TemporaryFile() as errors, new_image(goal) as file:
        process = start_filter(command, Reach(), source, errors)
        assert process.stdout is not None
        try:
            _copy(process.stdout, file, limit, goal)
            code = process.wait()
        finally:
            kill(process)
            process.stdout.close()
        if code != 0:
            errors.seek(0)
            why = errors.read(400).decode(errors="replace").strip()
            raise BuildError(f"the image of {goal.stem} is damaged: {why or f'{command[0]} ended with {code}'}")


def _copy(content: IO[bytes], file: IO[bytes], limit: int, goal: Path) -> None:
    at = 0
    try:
        while chunk := content.read(_CHUNK):
            if at + len(chunk) > limit:
                raise BuildError(f"the image of {goal.stem} is larger than its disk of {limit} bytes")
            if chunk.strip(b"\0"):
                os.pwrite(file.fileno(), chunk, at)
            at += len(chunk)
        os.ftruncate(file.fileno(), at)
    except OSError as error:
        raise HostError(f"cannot write {goal}: {error.strerror}; make room there") from error


def _written(image: BinaryIO, size: int) -> Iterator[int]:
    """Numbers of the blocks that are not all zero, growing."""
    number = 0
    for start, end in extents(image.fileno()):
        number, behind = max(start // BLOCK, number), -(-min(end, size) // BLOCK)
        while number < behind:
            chunk = os.pread(image.fileno(), min(_CHUNK, (behind - number) * BLOCK), number * BLOCK)
            if not chunk:
                return
            blocks = -(-len(chunk) // BLOCK)
            if chunk != _ZEROS[: len(chunk)]:
                pieces = ((at, chunk[at * BLOCK : (at + 1) * BLOCK]) for at in range(blocks))
                yield from (number + at for at, piece in pieces if piece != _ZEROS[: len(piece)])
            number += blocks


def _range(image: BinaryIO, first: int, last: int, size: int) -> str:
    digest, at, end = hashlib.sha256(), first * BLOCK, min((last + 1) * BLOCK, size)
    while at < end:
        chunk = os.pread(image.fileno(), min(_CHUNK, end - at), at)
        digest.update(chunk)
        at += len(chunk)
    blocks = f"{first}-{last}" if last > first else f"{first}"
    return f'        <Range chksum="{digest.hexdigest()}"> {blocks} </Range>\n'
