"""Digests of what comes in, made by a thread of its own: a transfer does not wait for them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from queue import Queue

KINDS = ("sha1", "sha256")
"""Those that a server may name in the manifest of what it sends."""

WAITING = 8
"""Pieces that are kept until their turn."""


class Digests:
    """A context. `made` holds hex digests by their algorithms after it."""

    def __init__(self) -> None:
        self.made: Mapping[str, str] = {}
        self._pieces: Queue[bytes] = Queue(WAITING)
        self._thread = threading.Thread(target=self._make, name="digests", daemon=True)

    def __enter__(self) -> Digests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.put(b"")
        self._thread.join()

    def add(self, data: bytes) -> None:
        """data: not empty."""
        self._pieces.put(data)

    def _make(self) -> None:
        each = {name: hashlib.new(name, usedforsecurity=False) for name in KINDS}
        while data := self._pieces.get():
            for one in each.values():
                one.update(data)
        self.made = {name: one.hexdigest() for name, one in each.items()}
