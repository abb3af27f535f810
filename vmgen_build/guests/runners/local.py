"""Commands on this host."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from vmgen_build.guests.runners.process import Process, ProcessRunner, named
from vmgen_build.host.run import PIPE, TimeoutExpired, start

PATIENCE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class LocalRunner(ProcessRunner):
    name = "this host"

    def start(self, argv: Sequence[str], timeout: float | None = None) -> Process:
        return LocalProcess(argv)

    def close(self) -> None:
        return


class LocalProcess(Process):
    """In a session of its own, so that its whole process group can be ended."""

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__(named(argv))
        # env(1) ends with 127 where the program is not there, as a shell does on other hosts.
        self._child = start(["env", *argv], stdin=PIPE, stdout=PIPE, stderr=PIPE, env={"LC_ALL": "C"})
        assert self._child.stdin and self._child.stdout and self._child.stderr
        self._pipes: tuple[IO[bytes], ...] = (self._child.stdin, self._child.stdout, self._child.stderr)
        self._locks = tuple(threading.Lock() for _ in self._pipes)
        self._closing = False
        os.set_blocking(self._child.stdin.fileno(), False)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            with self._locks[0]:
                if not self._wait_for(self._pipes[0], select.POLLOUT):
                    continue
                with suppress(BlockingIOError):
                    view = view[os.write(self._pipes[0].fileno(), view) :]

    def close_input(self) -> None:
        with self._locks[0]:
            self._pipes[0].close()

    def read_out(self, size: int) -> bytes:
        return self._read(1, size)

    def read_err(self, size: int) -> bytes:
        return self._read(2, size)

    def _read(self, number: int, size: int) -> bytes:
        while True:
            try:
                with self._locks[number]:
                    if self._wait_for(self._pipes[number], select.POLLIN):
                        return os.read(self._pipes[number].fileno(), size)
            except BrokenPipeError:
                return b""

    def _wait_for(self, pipe: IO[bytes], what: int) -> bool:
        """Whether it is ready; BrokenPipeError where it is closed. Short, so that `close` gets its turn."""
        if self._closing or pipe.closed:
            raise BrokenPipeError
        poll = select.poll()
        poll.register(pipe, what)
        return bool(poll.poll(200))

    def ended(self) -> bool:
        return self._child.poll() is not None

    def wait(self, timeout: float | None) -> int | None:
        try:
            code = self._child.wait(timeout)
        except TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
            self.wait(PATIENCE)
            os.killpg(self._child.pid, signal.SIGKILL)
        self.wait(PATIENCE)

    def close(self) -> None:
        self._closing = True
        for lock, pipe in zip(self._locks, self._pipes, strict=True):
            with lock:
                pipe.close()
