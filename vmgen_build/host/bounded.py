"""What a foreign program prints, read up to a limit: then the program is ended."""

from __future__ import annotations

import os
import selectors
import time
from typing import IO

from vmgen_build.errors import TIMED_OUT
from vmgen_build.host.run import Finished, Process, TimeoutExpired, kill
from vmgen_build.limits import Limit

TOO_MUCH = 125
"""Exit code of a program that was ended because it printed more than its limit."""

_CHUNK = 1 << 16


def finish_within(process: Process, limit: Limit, data: bytes = b"", timeout: float | None = None) -> Finished:
    """As host.run.finish, for a program whose standard output, and error where it is a pipe of its own, are foreign.

    One that prints more is killed: code TOO_MUCH, and `err` names the limit.
    """
    talk = _Talk(process, limit.amount, data)
    with process:
        try:
            if not talk.to_its_end(timeout):
                kill(process)
                return Finished(TIMED_OUT, talk.out, talk.err)
            if talk.room < 0:
                kill(process)
                return Finished(TOO_MUCH, talk.out, limit.exceeded.encode())
            return Finished(process.wait(talk.left()), talk.out, talk.err)
        except TimeoutExpired:
            kill(process)
            return Finished(TIMED_OUT, talk.out, talk.err)
        except BaseException:
            kill(process)
            raise


class _Talk:
    """room: bytes that may still come."""

    def __init__(self, process: Process, room: int, data: bytes) -> None:
        self._process, self.room, self._rest = process, room, memoryview(data)
        self._read: dict[IO[bytes], bytearray] = {}
        self._end: float | None = None
        self._selector = selectors.DefaultSelector()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._read[stream] = bytearray()
                self._selector.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE)

    @property
    def out(self) -> bytes:
        return self._of(self._process.stdout)

    @property
    def err(self) -> bytes:
        return self._of(self._process.stderr)

    def left(self) -> float | None:
        """Seconds."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    def to_its_end(self, timeout: float | None) -> bool:
        """Write and read until all streams are closed or more came than may; whether that was in time."""
        self._end = None if timeout is None else time.monotonic() + timeout
        with self._selector:
            while self._selector.get_map() and self.room >= 0:
                ready = self._selector.select(self.left())
                if not ready and self.left() == 0.0:
                    return False
                for key, _ in ready:
                    self._go_on(key.fileobj)  # type: ignore[arg-type]
        return True

    def _go_on(self, stream: IO[bytes]) -> None:
        if stream is self._process.stdin:
            if self._written(stream):
                self._done(stream)
            return
        chunk = os.read(stream.fileno(), _CHUNK)
        if not chunk:
            self._done(stream)
            return
        self._read[stream] += chunk[: max(self.room, 0)]
        self.room -= len(chunk)

    def _written(self, stream: IO[bytes]) -> bool:
        """Whether all is written, or nobody reads it."""
        try:
            self._rest = self._rest[os.write(stream.fileno(), self._rest[:_CHUNK]) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return not self._rest

    def _done(self, stream: IO[bytes]) -> None:
        self._selector.unregister(stream)
        stream.close()

    def _of(self, stream: IO[bytes] | None) -> bytes:
        return b"" if stream is None else bytes(self._read[stream])
