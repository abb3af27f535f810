"""The root that comes home from a node: taken in entry by entry, within limits, into a folder that is root's alone.

The node has it in its hands what the root holds: devices, programs that are setuid and owners are the guest's, and are
kept. It has no say in where anything goes, nor in how much it is.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from vmgen_build.artifacts.rootstream import Refused, RootStream
from vmgen_build.errors import HostError
from vmgen_build.guests.node.driver import TAR
from vmgen_build.host.run import PIPE, Process, kill, start
from vmgen_build.limits import ROOT_ROOM
from vmgen_build.text import clean, size

UNPACK = f'set -euo pipefail\n{TAR}exec tar $options -xpf - -C "$1"'
_CHUNK = 1 << 20
_MESSAGE = 4000


def take_in(stream: BinaryIO, unpacker: Sequence[str], folder: Path, where: str) -> None:
    """Unpack the root into `folder`, which is there and lies in one of mode 0700.

    unpacker: of this host, from its standard input to its standard output; () for a plain tar. where: the node's name.
    Raises HostError for what is refused, and what reading the stream raises.
    """
    with TemporaryFile() as errors, _running(["bash", "-c", UNPACK, "bash", folder], errors) as tar:
        assert tar.stdin is not None
        with suppress(BrokenPipeError), _plain(stream, unpacker, where) as plain:
            _pass_on(plain, tar.stdin, folder, where)
        tar.stdin.close()
        if tar.wait() != 0:
            raise HostError(f"cannot unpack the root that came from {where}: {_last_of(errors) or 'tar failed'}")


def _pass_on(plain: BinaryIO, tar: IO[bytes], folder: Path, where: str) -> None:
    def pause() -> None:
        if shutil.disk_usage(folder).free < ROOT_ROOM.amount:
            raise HostError(
                f"the root that comes from {where} fills the disk: less than {size(ROOT_ROOM.amount)} are left in"
                f" {folder} (the limit '{ROOT_ROOM.name}'); make room there (vmgen-build cache prune)"
            )

    with open(tar.fileno(), "wb", _CHUNK, closefd=False) as goal:
        for piece in RootStream(plain, pause).pieces():
            goal.write(piece)


@contextmanager
def _plain(stream: BinaryIO, unpacker: Sequence[str], where: str) -> Iterator[BinaryIO]:
    """The stream, unpacked. Leaving it well means that all of the stream came, and was whole."""
    try:
        if not unpacker:
            yield stream
            return
        with TemporaryFile() as errors, _running(unpacker, errors, stdout=PIPE) as process:
            assert process.stdout is not None
            feeder = _Inlet(stream, process)
            try:
                with open(process.stdout.fileno(), "rb", _CHUNK, closefd=False) as plain:
                    yield plain
                feeder.finish()
                failed = process.wait() != 0
            except Refused:
                feeder.finish()
                raise
            if failed:
                raise HostError(f"the root that came from {where} is damaged: {_last_of(errors)}")
    except Refused as refused:
        raise HostError(f"the root that comes from {where} is refused: {refused}; nothing of it is kept") from refused


@contextmanager
def _running(command: Sequence[str | Path], errors: IO[bytes], stdout: int | None = None) -> Iterator[Process]:
    process = start(command, stdin=PIPE, stdout=errors if stdout is None else stdout, stderr=errors)
    try:
        yield process
    finally:
        kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class _Inlet:
    """Hands the stream to the unpacker, in a thread."""

    def __init__(self, stream: BinaryIO, process: Process) -> None:
        self._stream, self._process = stream, process
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            while chunk := self._stream.read(_CHUNK):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(self._process.stdin.fileno(), view) :]
        except BrokenPipeError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            with suppress(OSError):
                self._process.stdin.close()

    def finish(self) -> None:
        """Raises what reading the stream raised, where it has ended. One that goes on is not waited for."""
        if self._process.poll() is None:
            self._thread.join(1.0)
        if self._error is not None:
            raise self._error


def _last_of(errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MESSAGE))
    lines = [clean(line) for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines)[-300:]
