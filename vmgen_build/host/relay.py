"""Connections that are carried on: from ports of this host to where they are connected to anew."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 1 << 16

CONNECTIONS = 256
"""At a time; further ones wait until one of them ends."""

Connect = Callable[[], socket.socket]
"""A new connection to the other end. Raises OSError where there is none."""


class Relay:
    """Carries on what connects to `listener`, until the process ends: each connection in threads of its own.

    The listener may be of another network namespace than what `connect` makes (network_namespaces(7)).
    """

    def __init__(self, listener: socket.socket, connect: Connect) -> None:
        self._listener, self._connect = listener, connect
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            self._free.acquire()
            try:
                theirs, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(theirs,), daemon=True).start()

    def _carry(self, theirs: socket.socket) -> None:
        """Where the other end is not there the connection is closed at once, as one that is refused."""
        try:
            with theirs, suppress(OSError), self._connect() as ours:
                back = threading.Thread(target=_pump, args=(ours, theirs), daemon=True)
                back.start()
                _pump(theirs, ours)
                back.join()
        finally:
            self._free.release()


def _pump(source: socket.socket, goal: socket.socket) -> None:
    """One direction, to its end, which is handed on."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            goal.sendall(data)
    with suppress(OSError):
        goal.shutdown(socket.SHUT_WR)
