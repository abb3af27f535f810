"""Running the tools that make file systems, and copying what they made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmgen_build.artifacts.disk.content import extents
from vmgen_build.artifacts.progress import Progress
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.run import PIPE, TOGETHER, Word, finish, start
from vmgen_build.text import size as in_words

_SCARCE = 16 << 20
_SHOWN = 4000
_CHUNK = 1 << 20
_LOOKED_AT = 256 << 20
_ZEROS = bytes(_CHUNK)


class Tools:
    """Runs programs that write below `folder`; progress: of the bytes that the images hold."""

    def __init__(self, folder: Path, epoch: int, progress: Progress | None = None) -> None:
        self.folder, self.epoch, self._progress = folder, max(epoch, 1), progress
        self.images: list[Path] = []

    def run(self, command: Sequence[Word], *, text: str = "", env: Mapping[str, str] | None = None) -> None:
        """text: its standard input. Raises HostError (program missing, disk full), ToolFailed with what it wrote."""
        process = start(
            command, stdin=PIPE, stderr=TOGETHER, cwd=self.folder, env={**self.environment(), **(env or {})}
        )
        ended = finish(process, text.encode(), tick=self.report)
        if ended.code != 0:
            self.check_full()
            raise ToolFailed(Path(command[0]).name, ended.text[-_SHOWN:].strip() or f"it ended with {ended.code}")

    def report(self) -> None:
        if self._progress is not None:
            self._progress(sum(image.stat().st_blocks * 512 for image in self.images))

    def check_full(self, cause: OSError | None = None) -> None:
        """Raises HostError where the disk of the images is as good as full."""
        free = shutil.disk_usage(self.folder).free
        if free < _SCARCE:
            raise full(self.folder, free) from cause

    def environment(self) -> dict[str, str]:
        """Without the user's settings, and with the time that all file systems bear."""
        return {
            "HOME": str(self.folder),
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "E2FSPROGS_FAKE_TIME": str(self.epoch),
            "MTOOLSRC": "/dev/null",
        }


class ToolFailed(BuildError):
    """reason: what the program wrote."""

    def __init__(self, program: str, reason: str) -> None:
        self.program, self.reason = program, reason
        super().__init__(f"packing failed: {program}: {reason}")


def full(folder: Path, free: int, need: int | None = None) -> HostError:
    wanted = f", and the disk images need about {in_words(need)}" if need is not None else ""
    return HostError(
        f"the disk of {folder} is full: {in_words(free)} are free{wanted}; make room there, or choose another folder"
        " with --cache"
    )


def new_file(path: Path, size: int) -> Path:
    """A sparse file of `size` bytes that only we can read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.truncate(fd, size)
    finally:
        os.close(fd)
    return path


def copy_data(source: int, image: int, offset: int, look: Callable[[], None] = lambda: None) -> None:
    """Copy an open file into an image that is all zero there: data only, no zeros. look: called before the first byte,
    and again after each _LOOKED_AT bytes. Raises OSError, and what `look` does."""
    done = looked = 0
    for at, end in extents(source):
        while at < end:
            if done >= looked:
                look()
                looked = done + _LOOKED_AT
            chunk = os.pread(source, min(_CHUNK, end - at), at)
            if not chunk:
                break
            if chunk != _ZEROS[: len(chunk)]:
                _write_at(image, chunk, offset + at)
            at += len(chunk)
            done += len(chunk)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
