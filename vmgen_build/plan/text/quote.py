"""Values as words of a script: a dialect turns any value into text that its interpreter reads back byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import PurePath

_AS_TEXT = (str, int, PurePath, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface)

_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
CLOSED_QUOTE = "'\"'\"'"


class Trusted(str):
    """Text that our own code rendered; it goes into a script as it stands."""

    __slots__ = ()


class Verbatim(Trusted):
    """Text of the template itself, where a quote leaves no place for a tag: no part of it is data."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """A language that values are quoted for.

    word: one text as one word; raises ValueError for what the language cannot carry.
    newline: the language's line end.
    guarded: whether a template's own text is checked for places where a quoted word would mean something else
    (vmgen_build.plan.text: guard, batchguard, powershellguard).
    separator: what stands between the words of a list.
    filters: name in the dialect's templates -> what quotes a value for a place where no word stands.
    """

    name: str
    word: Callable[[str], str]
    newline: str = "\n"
    guarded: bool = False
    separator: str = " "
    filters: Mapping[str, Callable[..., Trusted]] = field(default_factory=dict)

    def quote(self, value: object) -> str:
        """A value as text of the dialect: a list or tuple as separate words, a bool as 1 or 0, Trusted as it stands.

        Raises ValueError for what the dialect cannot carry, TypeError for what is no value at all (None, a Secret).
        """
        if isinstance(value, Trusted):
            return str(value)
        if isinstance(value, list | tuple):
            return self.separator.join(self._scalar(item) for item in value)
        return self._scalar(value)

    def _scalar(self, value: object) -> str:
        if isinstance(value, bool):
            return "1" if value else "0"
        if not isinstance(value, _AS_TEXT):
            raise TypeError(f"a {type(value).__name__} is no value for a script")
        return self.word(str(value))


def sh_word(text: str) -> str:
    """One word of POSIX sh. What no argument can hold is refused: NUL, and lone surrogates (no UTF-8 says them)."""
    refuse_unsayable(text)
    return text if _PLAIN.fullmatch(text) else f"""'{text.replace("'", CLOSED_QUOTE)}'"""


def refuse_unsayable(text: str) -> None:
    """Raise ValueError for text that no process argument or UTF-8 file holds."""
    if "\0" in text:
        raise ValueError(f"{shown(text)} holds a NUL character; remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{shown(text)} is not valid Unicode text; write it as UTF-8") from error


def shown(text: str, limit: int = 60) -> str:
    """The text in ASCII and short enough for a message."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


SH = Dialect("sh", sh_word, guarded=True)

TEXT = Dialect("text", sh_word)
"""Prose with commands in it: each value is a word of a command."""


def sh(value: object) -> str:
    """A value quoted for sh."""
    return SH.quote(value)
