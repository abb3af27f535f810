"""How near a word that somebody looks for is to a name: what `options` and `programs` find things by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from enum import IntEnum

LONGEST = 80
"""Characters of a word that are compared."""

_NEAR = 0.75
"""Ratio of difflib from which a name is a slip of another: hw_adr and hw_addr have 0.92, pythn and python 0.91."""


class Match(IntEnum):
    """The nearest first. ALSO: it is another word for the thing. TEXT: the word stands in its description."""

    EXACT = 0
    ALSO = 1
    PART = 2
    NEAR = 3
    TEXT = 4

    @property
    def word(self) -> str:
        """As --json says: a name that holds the word is near."""
        return {Match.PART: "near"}.get(self, self.name.lower())


def folded(text: str) -> str:
    """As names are compared: hw_addr for "HW-Addr" and "hw addr"."""
    return re.sub(r"[\s_-]+", "_", text[:LONGEST].strip().lower())


def match(word: str, name: str, also: Iterable[str] = ()) -> Match | None:
    """word, and name and also once `folded`; None where they are far from each other. TEXT is none of its answers."""
    name = folded(name)
    others = [folded(one) for one in also]
    if f"_{word}_" in f"_{name}_":
        return Match.EXACT
    if word in others:
        return Match.ALSO
    if word and word in name:
        return Match.PART
    return Match.NEAR if closeness(word, (name, *others)) >= _NEAR else None


def closeness(word: str, names: Iterable[str]) -> float:
    """Of the nearest of some names: from 0 to 1, which is the same."""
    compared = SequenceMatcher(b=word)
    best = 0.0
    for name in names:
        compared.set_seq1(name)
        if compared.real_quick_ratio() > best and compared.quick_ratio() > best:
            best = max(best, compared.ratio())
    return best


def in_text(words: Iterable[str], text: str) -> bool:
    """Whether each of the words begins one of the text's."""
    text = text.lower()
    return all(re.search(rf"\b{re.escape(word.lower()[:LONGEST])}", text) for word in words)
