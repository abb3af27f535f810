"""Bytes of a program to lines, none of them longer than memory can well hold."""

from __future__ import annotations

import codecs
from collections.abc import Callable

CHUNK = 1 << 16
"""Bytes that are read at once; characters of the longest line."""


class Lines:
    """Bytes to lines. A line longer than `longest` characters is given in pieces."""

    def __init__(self, output: Callable[[str], None], longest: int = CHUNK) -> None:
        self._output, self._longest = output, longest
        self._parts: list[str] = []
        self._length = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, chunk: bytes, final: bool = False) -> None:
        rest, *lines = self._decoder.decode(chunk, final).split("\n")
        self._more(rest)
        for line in lines:
            self._end()
            self._more(line)
        if final and self._length:
            self._end()

    def _more(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        while self._length > self._longest:
            whole = "".join(self._parts)
            self._parts, self._length = [whole[: self._longest]], self._longest
            self._end()
            self._parts, self._length = [whole[self._longest :]], len(whole) - self._longest

    def _end(self) -> None:
        line = "".join(self._parts)
        self._parts, self._length = [], 0
        self._output(line.removesuffix("\r"))
