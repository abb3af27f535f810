"""An archive of a virtual machine, written in one read of its disks."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.disk.content import extents
from vmgen_build.artifacts.disk.convert import opened
from vmgen_build.artifacts.progress import Progress
from vmgen_build.artifacts.vma import format as form
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written, is_full, no_room, whole_file
from vmgen_build.host.pipeline import pipeline

_CHUNK = 16 * form.CLUSTER
_ZEROS = bytes(form.CLUSTER)
_NOTHING = _ZEROS[: form.BLOCK]


def write_vma(
    goal: Path, content: form.VmaContent, compression: Compression, progress: Progress | None = None
) -> Written:
    """The same bytes each time. progress: of the bytes before they are compressed. Raises BuildError where a disk
    cannot be read, the compressor fails or a text is too long, HostError; then there is no new file."""
    command = compression.command()
    digest, size = hashlib.sha256(), 0
    try:
        with whole_file(goal) as file, ExitStack() as undo:
            meter = _Count(progress)
            chunks: Iterator[bytes] = meter.counted(_archive(content))
            if command is not None:
                chunks = undo.enter_context(_compressed(command, chunks))
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                meter.look()
            meter.look(last=True)
    except OSError as error:
        if is_full(error):
            raise no_room(goal, sum(disk.size for disk in content.disks), at_most=True) from error
        raise BuildError(f"cannot write {goal}: {error.strerror}") from error
    except ValueError as error:
        raise BuildError(f"{goal.name} cannot be packed: {error}") from error
    return Written(goal, size, digest.hexdigest())


@contextmanager
def _compressed(command: list[str], chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """What the program makes of the chunks, which a thread hands it. Raises BuildError where it fails."""
    source, sink = os.pipe()
    with (
        os.fdopen(sink, "wb", buffering=0) as outlet,
        os.fdopen(source, "rb", buffering=0) as inlet,
        pipeline({command[0]: command}, stdin=inlet) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        inlet.close()
        fed = pool.submit(_feed, outlet, chunks)
        try:
            yield iter(partial(running.output.read, _CHUNK), b"")
        except BaseException:
            running.end()
            raise
        if failure := running.failure():
            raise BuildError(f"packing failed: {failure}")
        fed.result()


def _feed(outlet: IO[bytes], chunks: Iterable[bytes]) -> None:
    with outlet:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[outlet.write(view) :]


class _Count:
    """Reports at most ten times a second, from the thread that looks, what another may count."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done, self._next = progress, 0, 0.0

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._done += len(chunk)

    def look(self, last: bool = False) -> None:
        now = time.monotonic()
        if self._progress is not None and (last or now >= self._next):
            self._next = now + 0.1
            self._progress(self._done)


def _archive(content: form.VmaContent) -> Iterator[bytes]:
    yield form.header(content)
    numbers: list[int] = []
    blocks: list[bytes] = []
    for number, found in _clusters(content.disks):
        numbers.append(number)
        blocks += found
        if len(numbers) == form.CLUSTERS:
            yield form.extent(content.ident, numbers, blocks)
            numbers, blocks = [], []
    if numbers:
        yield form.extent(content.ident, numbers, blocks)


def _clusters(disks: Iterable[form.VmaDisk]) -> Iterator[tuple[int, list[bytes]]]:
    """Each cluster of each disk, with the blocks of it that hold something."""
    for device, disk in enumerate(disks, 1):
        behind = 0
        for number, data in _written(disk):
            yield from ((form.cluster_info(device, empty, 0), []) for empty in range(behind, number))
            mask, blocks = _blocks(data)
            yield form.cluster_info(device, number, mask), blocks
            behind = number + 1
        whole = -(-disk.size // form.CLUSTER)
        yield from ((form.cluster_info(device, empty, 0), []) for empty in range(behind, whole))


def _written(disk: form.VmaDisk) -> Iterator[tuple[int, bytes]]:
    """The clusters that the image's file system keeps as data, with their content."""
    number = 0
    with opened(disk.image) as image:
        for start, end in extents(image.fileno()):
            number, behind = max(start // form.CLUSTER, number), -(-min(end, disk.size) // form.CLUSTER)
            while number < behind:
                size = min(_CHUNK, (behind - number) * form.CLUSTER)
                chunk = os.pread(image.fileno(), size, number * form.CLUSTER)
                if not chunk:
                    return
                for at in range(0, len(chunk), form.CLUSTER):
                    yield number + at // form.CLUSTER, chunk[at : at + form.CLUSTER]
                number += -(-len(chunk) // form.CLUSTER)


def _blocks(cluster: bytes) -> tuple[int, list[bytes]]:
    """A bit for each block that holds something, the first one's the lowest; and these blocks, whole."""
    if cluster == _ZEROS[: len(cluster)]:
        return 0, []
    cluster += bytes(-len(cluster) % form.BLOCK)
    pieces = [cluster[at : at + form.BLOCK] for at in range(0, len(cluster), form.BLOCK)]
    kept = [(bit, piece) for bit, piece in enumerate(pieces) if piece != _NOTHING]
    return sum(1 << bit for bit, _ in kept), [piece for _, piece in kept]
