"""Lines that come over a socket from somebody who may say anything, or nothing."""

from __future__ import annotations

import socket
import time

_PIECE = 1 << 16


class SocketLines:
    """limit: bytes that a line may have."""

    def __init__(self, wire: socket.socket, limit: int) -> None:
        self._wire, self._limit = wire, limit
        self._buffer = bytearray()

    def next(self, deadline: float) -> bytes:
        """The next one without its end. deadline: as of time.monotonic().

        Raises TimeoutError once it is past, EOFError where no more comes, OSError where there is no connection any
        more, ValueError for a line that is too long.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._limit:
                raise ValueError("a line is too long")
            self._buffer += self._received(deadline - time.monotonic())
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _received(self, seconds: float) -> bytes:
        if seconds <= 0:
            raise TimeoutError
        self._wire.settimeout(seconds)
        data = self._wire.recv(_PIECE)
        if not data:
            raise EOFError
        return data
