"""JSON from others (RFC 8259): read within limits, strictly, and then field by field.

Each reader of a field raises ValueError that says which field is wrong and what it must be; no message repeats a value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vmgen_build.limits import JSON_DEPTH, JSON_DIGITS, Limit

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
"""A string, or a bracket outside of one. A string that nothing closes ends with the text: no second look at it."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def parse_json(data: bytes | str, limit: Limit) -> Any:
    """What it says. limit: of its bytes. Raises ValueError: too large, too deep, no UTF-8, no JSON, a name twice in one
    object, a number that no computer counts with (NaN, Infinity, 1e999, or more digits than are useful)."""
    if len(data) > limit.amount:
        raise ValueError(limit.exceeded)
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > JSON_DEPTH.amount:
            raise ValueError(f"its brackets are nested too deep: {JSON_DEPTH.exceeded}")
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_fraction, parse_int=_whole
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object in it has one name twice")
    return found


def _constant(_: str) -> Any:
    raise ValueError("a number in it is none: NaN or Infinity")


def _fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number in it is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > JSON_DIGITS.amount:
        raise ValueError(f"a number in it is too long: {JSON_DIGITS.exceeded}")
    return int(text)


class Field:
    """One value of a parsed text. path: where it stands: "probes[3].retry"; "" for the whole."""

    def __init__(self, value: Any, path: str = "") -> None:
        self.value, self.path = value, path

    def wrong(self, needed: str) -> ValueError:
        """For what is not as it must be: "a list of strings"."""
        return ValueError(f"{self.path or 'it'} is not {needed}")

    def __getitem__(self, name: str) -> Field:
        """Raises ValueError where there is none."""
        inner = self.optional(name)
        if inner is None:
            raise ValueError(f"it lacks {self._below(name)}")
        return inner

    def optional(self, name: str) -> Field | None:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return Field(self.value[name], self._below(name)) if name in self.value else None

    def or_else(self, name: str, value: Any) -> Field:
        """The field of that name, or one of `value` where there is none."""
        return self.optional(name) or Field(value, self._below(name))

    def items(self, limit: Limit) -> Iterator[Field]:
        """Of a list, which may have so many."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        self._few(limit)
        return (Field(value, f"{self.path}[{index}]") for index, value in enumerate(self.value))

    def members(self, limit: Limit, key: int = 255) -> Iterator[tuple[str, Field]]:
        """Of an object with names that are not known. key: characters that one may have."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        self._few(limit)
        for name, value in self.value.items():
            yield Field(name, f"a name in {self.path}").text(key), Field(value, f"a value of {self.path}")

    def text(self, longest: int) -> str:
        """longest: characters. Any text that UTF-8 can carry, without a NUL."""
        if not isinstance(self.value, str):
            raise self.wrong("text")
        if len(self.value) > longest:
            raise self.wrong(f"text of up to {longest:,} characters")
        if _NO_TEXT.search(self.value):
            raise self.wrong("text without NUL and surrogates")
        return self.value

    def matching(self, pattern: str, needed: str) -> str:
        """Text that the whole pattern matches. needed: what it is, for the message."""
        if not isinstance(self.value, str) or re.fullmatch(pattern, self.value) is None:
            raise self.wrong(needed)
        return self.value

    def one_of(self, words: Sequence[str]) -> str:
        if not isinstance(self.value, str) or self.value not in words:
            raise self.wrong(f"one of {', '.join(words)}")
        return self.value

    def whole(self, low: int, high: int) -> int:
        """No bool, though Python takes one for a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.wrong(f"a whole number from {low} to {high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not low <= self.value <= high:
            raise self.wrong(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _few(self, limit: Limit) -> None:
        if len(self.value) > limit.amount:
            raise ValueError(f"{self.path} has {len(self.value)} entries: {limit.exceeded}")
