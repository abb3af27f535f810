"""What comes from a command of another host, taken in with bounded work and memory, whatever comes."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from vmgen_build.errors import HostError
from vmgen_build.guests.runners.model import KEPT
from vmgen_build.limits import NODE_PREAMBLE, NODE_RATE, NODE_SILENCE

_TICK = 1.0


class Tail:
    """The last KEPT bytes of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        self._data += chunk
        if len(self._data) > 2 * KEPT:
            del self._data[:-KEPT]

    def text(self) -> str:
        return self._data[-KEPT:].decode(errors="replace")


class Marked:
    """Finds "MARK NUMBER" in what a stream begins with. number: 0 until it is there. searched: bytes looked at so far.

    what: the command and its host, for messages.
    """

    def __init__(self, mark: bytes, what: str) -> None:
        self._mark, self._what = mark, what
        self._early = bytearray()
        self._from = 0
        self.number = self.searched = 0

    def add(self, chunk: bytes) -> bytes | None:
        """What stands around the mark's line, once that is there; None before. Raises HostError."""
        self._early += chunk
        self.searched += len(self._early) - self._from
        at = self._early.find(self._mark, self._from)
        if at < 0:
            self._from = max(0, len(self._early) - len(self._mark) + 1)
            if len(self._early) > NODE_PREAMBLE.amount:
                raise HostError(f"{self._what}: what comes before its output: {NODE_PREAMBLE.exceeded}")
            return None
        self._from = at
        number, end, _ = self._early[at + len(self._mark) :][:64].partition(b"\n")
        if not end and len(number) < 64:
            return None
        if re.fullmatch(rb"[1-9][0-9]{0,9}", number) is None or number == b"1":
            raise HostError(f"{self._what}: it names no process group; is that host what it should be?")
        self.number = int(number)
        after = at + len(self._mark) + len(number) + 1
        return bytes(self._early[:at] + self._early[after:])

    def rest(self) -> bytes:
        """What came, where the stream ended before the mark."""
        return bytes(self._early)


class Pace:
    """Ends a stream that gives too little for too long while somebody waits for it. what: for messages."""

    def __init__(self, end: Callable[[], None], what: str) -> None:
        self._end, self._what = end, what
        self._since: float | None = None
        self._late = ""
        self._waited, self._came = 0.0, 0
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def take(self, read: Callable[[], bytes]) -> bytes:
        """What `read` gives. Raises HostError naming the limit."""
        began = self._since = time.monotonic()
        try:
            chunk = read()
        except Exception:
            if not self._late:
                raise
            chunk = b""
        self._since = None
        self._count(time.monotonic() - began, len(chunk))
        if self._late:
            self._end()
            raise HostError(f"{self._what}: {self._late}; look how busy it is, and at the network between")
        return chunk

    def stop(self) -> None:
        self._done.set()

    def _count(self, waited: float, came: int) -> None:
        """Waiting alone counts: what comes may be taken slowly by others."""
        self._waited += waited
        self._came += came
        if came and self._waited >= NODE_SILENCE.amount:
            if self._came < NODE_RATE.amount * self._waited:
                self._late = f"it gives less a second than the limit '{NODE_RATE.name}' asks for ({NODE_RATE.shown})"
            self._waited, self._came = 0.0, 0

    def _watch(self) -> None:
        while not self._done.wait(min(_TICK, NODE_SILENCE.amount / 4)):
            since = self._since
            if since is not None and time.monotonic() - since > NODE_SILENCE.amount:
                self._late = f"it has given nothing for {NODE_SILENCE.shown} (the limit '{NODE_SILENCE.name}')"
                self._end()
                return
