"""Options by what people call them: their path, another word, a slip in either, or what their description says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from vmgen_build.nearness import Match, closeness, folded, in_text, match
from vmgen_build.recipe.outline import top
from vmgen_build.recipe.reference import OptionDoc, options

_SHOWN = 5
"""Options that are found by a slip, at most."""

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Name:
    """One name of an option's path: NAME in it is any. also: other words for it."""

    text: str
    also: tuple[str, ...] = ()

    @property
    def is_any(self) -> bool:
        return self.text == "NAME"


@dataclass(frozen=True, slots=True)
class Hit:
    option: OptionDoc
    match: Match


def search(text: str) -> list[Hit]:
    """What a text means, the nearest first: words of a path with dots between them, "hardware.eths.mac", or words for
    it, "ssh key". All by name and by another word; without any, all of which it is a part; then slips; then text."""
    words = [folded(word) for word in text.split(".") if word.strip()]
    found = sorted(_hits(words), key=lambda hit: hit.match)
    for kinds in ((Match.EXACT, Match.ALSO), (Match.PART,)):
        if hits := [hit for hit in found if hit.match in kinds]:
            return hits
    if hits := [hit for hit in found if hit.match is Match.NEAR]:
        return sorted(hits, key=lambda hit: -_closeness(words, hit.option.path))[:_SHOWN]
    plain = text.replace("_", " ").replace(".", " ").split()
    return [Hit(option, Match.TEXT) for option in options() if plain and in_text(plain, _description(option))]


def nearest_options(text: str) -> list[str]:
    """The paths that are the nearest to a text that finds nothing."""
    words = [folded(word) for word in text.split(".") if word.strip()] or [""]
    ranked = sorted(options(), key=lambda option: -_closeness(words[-1:], option.path))
    return [option.path for option in ranked[:_NEAREST]]


def _hits(words: Sequence[str]) -> Iterator[Hit]:
    if not words:
        return
    for option in options():
        kind = next((kind for kind in list(Match)[:-1] if _is(words, names_of(option.path), kind)), None)
        if kind is not None:
            yield Hit(option, kind)


def _is(words: Sequence[str], names: Sequence[Name], worst: Match) -> bool:
    """Whether the words mean names of a path, in order, none of them farther off than `worst`."""
    left = list(words)
    for name in names:
        if left and _means(left[0], name, worst, last=len(left) == 1):
            left.pop(0)
    return not left


def _means(word: str, name: Name, worst: Match, last: bool) -> bool:
    """last: whether no word follows; NAME does not stand for that."""
    if name.is_any:
        return not last
    found = match(word, name.text, name.also)
    return found is not None and found <= worst


def _closeness(words: Sequence[str], path: str) -> float:
    """Of the last word to the last name, above all."""
    names = names_of(path)
    last = closeness(words[-1], [folded(one) for one in (names[-1].text, *names[-1].also)])
    anywhere = closeness(words[-1], [folded(one) for name in names for one in (name.text, *name.also)])
    return last + anywhere


def _description(option: OptionDoc) -> str:
    return " ".join((option.path, option.doc, option.takes, option.example))


@cache
def names_of(path: str) -> tuple[Name, ...]:
    """The names of an option's path, each with what else it is called."""
    *sections, last = path.split(".")
    level, names = top(), []
    for name in sections:
        below = level.section(name)
        assert below is not None, path
        names.append(Name(name, () if name == "NAME" else below.also))
        level = below
    leaf = level.option(last)
    return (*names, Name(last, leaf.also if leaf else ()))
