"""Running the tools that make file systems, and copying what they made."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmgen_build.artifacts.disk.content import extents
from vmgen_build.errors import BuildError, HostError
from vmgen_build.text import size as in_words

Progress = Callable[[int], None]
"""Takes how many bytes the images hold so far."""

PACKAGES = {
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mkswap": "util-linux",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "mkntfs": "ntfs-3g",
    "ntfslabel": "ntfs-3g",
}
"""Program -> the Debian package that brings it."""

_SCARCE = 16 << 20
_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


class Tools:
    """Runs programs that write below `folder`; progress hears now and then how much the images hold."""

    def __init__(self, folder: Path, epoch: int, progress: Progress | None = None) -> None:
        self.folder, self.epoch, self._progress = folder, max(epoch, 1), progress
        self.images: list[Path] = []

    def run(self, command: Sequence[str | Path], *, text: str = "", env: Mapping[str, str] | None = None) -> None:
        """Raises HostError (program missing, disk full), ToolFailed with what it said."""
        name = str(command[0])
        program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            raise HostError(f"this host lacks {name}; get it with: apt-get install -y {PACKAGES.get(name, name)}")
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as given:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(
                [program, *map(str, command[1:])],
                stdin=given,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env=self._environment(env or {}),
            )
            try:
                self._wait(process)
            finally:
                process.kill()
                process.wait()
            if process.returncode != 0:
                self.check_full()
                said.seek(0)
                raise ToolFailed(name, said.read(4000).decode(errors="replace").strip() or str(process.returncode))

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(sum(image.stat().st_blocks * 512 for image in self.images))

    def check_full(self, cause: OSError | None = None) -> None:
        """Raises HostError where the disk of the images is as good as full."""
        free = shutil.disk_usage(self.folder).free
        if free < _SCARCE:
            raise full(self.folder, free) from cause

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                self.tell()
            else:
                return

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Without the host's settings, and with the time that all file systems bear."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "E2FSPROGS_FAKE_TIME": str(self.epoch),
            "MTOOLSRC": "/dev/null",
            **more,
        }


class ToolFailed(BuildError):
    def __init__(self, program: str, said: str) -> None:
        self.program, self.said = program, said
        super().__init__(f"packing failed: {program}: {said}")


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


def copy_data(source: Path, image: Path, offset: int) -> None:
    """Copy a file into an image that is all zero there: data only, no zeros. Raises OSError."""
    with source.open("rb", buffering=0) as reader, image.open("r+b", buffering=0) as writer:
        for start, end in extents(source):
            while start < end:
                chunk = os.pread(reader.fileno(), min(_CHUNK, end - start), start)
                if not chunk:
                    break
                if chunk != _ZEROS[: len(chunk)]:
                    _write_at(writer.fileno(), chunk, offset + start)
                start += len(chunk)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
