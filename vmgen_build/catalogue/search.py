"""Programs by what people call them."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.catalogue.programs import Program
from vmgen_build.nearness import Match, closeness, folded, in_text, match

_NEAREST = 3
_SHOWN = 5
"""Programs that are found by a slip, at most."""

Hits = list[tuple[Match, Program]]


def search(text: str, programs: Sequence[Program]) -> Hits:
    """What a text means, the nearest first: all whose name, alias or package it is or is a part of; without any, slips
    in these; then what the notes say."""
    word = folded(text)
    ranked = [(kind, one) for one in programs if (kind := _kind(word, one)) is not None]
    if whole := [hit for hit in ranked if hit[0] is not Match.NEAR]:
        return sorted(whole, key=lambda hit: hit[0])
    if ranked:
        return sorted(ranked, key=lambda hit: -closeness(word, _names(hit[1])))[:_SHOWN]
    words = text.split()
    return [(Match.TEXT, one) for one in programs if words and in_text(words, f"{one.name} {one.notes}")]


def nearest_programs(text: str, programs: Sequence[Program]) -> list[str]:
    """The names that are the nearest to a text that finds nothing."""
    word = folded(text)
    return [one.name for one in sorted(programs, key=lambda one: -closeness(word, _names(one)))[:_NEAREST]]


def _kind(word: str, program: Program) -> Match | None:
    """An alias means the program as its name does."""
    if word in _names(program):
        return Match.EXACT
    if word in map(folded, program.packages):
        return Match.ALSO
    if word and any(word in folded(name) for name in (*_names(program), *program.packages)):
        return Match.PART
    return Match.NEAR if match(word, program.name, _names(program)) is Match.NEAR else None


def _names(program: Program) -> list[str]:
    return [folded(name) for name in (program.name, *program.aliases)]
