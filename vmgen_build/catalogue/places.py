"""The systems that an option of the catalogue is for, as they stand behind its dot, and which of several counts.

DISTRIBUTION[-VERSIONS][-ARCHITECTURE], or linux[-ARCHITECTURE] for every Linux system. VERSIONS is one version, or a
range whose ends both belong to it: 11..12, 41.., ..11. Versions compare as numbers, part by part; a rolling one (sid,
tumbleweed, rolling) is the newest. A version has all that begin with it: 9 means 9.4 too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from vmgen_build.systems import families
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import architectures

LINUX = "linux"

_PARTS = 4
"""Parts of a version that are compared."""

_LONGEST = 60
"""Characters of a value that a message shows."""

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")


@dataclass(frozen=True, slots=True)
class Place:
    """first, last: the versions; both the same for one version, "" for an open end, both "" for every version.
    ranged: whether there was a range. arch: "" for every architecture."""

    distribution: str
    first: str = ""
    last: str = ""
    ranged: bool = False
    arch: str = ""

    def holds(self, distribution: str, version: str, arch: str) -> bool:
        """version: "" where none is known; only what is for every version holds then."""
        if distribution != self.distribution or self.arch not in ("", arch):
            return False
        if not self.first and not self.last:
            return True
        if not version:
            return False
        if not self.ranged and not _NUMBER.fullmatch(self.first):
            return version == self.first
        return _from(version, self.first) and _until(version, self.last)

    @property
    def rank(self) -> tuple[float, ...]:
        """The least counts: one version, then a range, then every version; in each the one for an architecture first.

        Of several ranges: one with two ends, then the one that begins later, then the one that ends sooner.
        """
        if not self.ranged:
            return (0 if self.first else 2, 0 if self.arch else 1, -len(_numbers(self.first)))
        begins = [-part for part in _padded(self.first)] if self.first else [inf] * _PARTS
        ends = _padded(self.last) if self.last else [inf] * _PARTS
        closed = bool(self.first and self.last)
        return (1, 0 if self.arch else 1, 0 if closed else 1, *begins, *ends)


@lru_cache(maxsize=4096)
def parse_place(text: str) -> Place:
    """Raises ValueError, its text saying what would be right."""
    distribution, _, rest = text.partition("-")
    if distribution not in _distributions():
        raise ValueError(f"'{cut(distribution)}' is no system; write one of {', '.join(_distributions())}")
    head, _, arch = rest.rpartition("-")
    if arch not in architectures():
        head, arch = rest, ""
    if not head:
        return Place(distribution, arch=arch)
    if distribution == LINUX:
        raise ValueError(
            f"'{cut(head)}' is a version, and linux has none; write linux, or the distribution that you mean"
        )
    if ".." not in head:
        return Place(distribution, _version(distribution, head), head, arch=arch)
    first, _, last = head.partition("..")
    if not first and not last:
        raise ValueError(f"'{cut(head)}' is no range; write one such as 11..12, 41.. or ..11")
    for end in filter(None, (first, last)):
        _end(distribution, end)
    if first and last and _padded(first) > _padded(last):
        raise ValueError(f"'{head}' ends before it begins; write {last}..{first}")
    return Place(distribution, first, last, ranged=True, arch=arch)


def best(places: list[str], system: System) -> str | None:
    """The one of these that counts for a system: its own before its relative's before every Linux system's, the most
    specific first."""
    every = ((LINUX, ""),) if system.kind == "linux" else ()
    for distribution, version in ((system.distribution, system.version), *system.relatives, *every):
        parsed = {text: parse_place(text) for text in places}
        fitting = [text for text, place in parsed.items() if place.holds(distribution, version, system.arch)]
        if fitting:
            return min(fitting, key=lambda text: parsed[text].rank)
    return None


def cut(text: str) -> str:
    """Text of a file for a message: short, and without control characters."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(char if char.isprintable() else "?" for char in short)


def _distributions() -> tuple[str, ...]:
    rows = [row.name for family in families() for row in family.distributions]
    return (*rows, *(family.name for family in families() if family.editions), LINUX)


def _version(distribution: str, text: str) -> str:
    """One version; a word is a version that its family knows."""
    if not _NUMBER.fullmatch(text) and text not in _words(distribution):
        raise ValueError(f"'{cut(text)}' is no version of {distribution}; write a number{_known(distribution)}")
    return text


def _end(distribution: str, text: str) -> None:
    """An end of a range: a number, or a rolling version."""
    rolling = [word for word in _words(distribution) if not word[0].isdigit()]
    if distribution == "windows" or not (_NUMBER.fullmatch(text) or text in rolling):
        raise ValueError(f"'{cut(text)}' cannot end a range of {distribution}; write numbers, such as 11..12")


def _words(distribution: str) -> set[str]:
    rows = [row for family in families() for row in family.distributions if row.name == distribution]
    editions = [e.version for family in families() if family.name == distribution for e in family.editions]
    return {version for row in rows for version in row.known} | set(editions)


def _known(distribution: str) -> str:
    words = sorted(word for word in _words(distribution) if not _NUMBER.fullmatch(word))
    return f" or {', '.join(words)}" if words else ""


def _numbers(version: str) -> tuple[float, ...]:
    """Its parts; a word is newer than every number."""
    return tuple(int(part) for part in version.split(".")) if _NUMBER.fullmatch(version) else (inf,)


def _padded(version: str) -> list[float]:
    parts = _numbers(version)
    return [*parts, *[0.0] * (_PARTS - len(parts))]


def _from(version: str, first: str) -> bool:
    bound = _numbers(first)
    return not first or _numbers(version)[: len(bound)] >= bound


def _until(version: str, last: str) -> bool:
    bound = _numbers(last)
    return not last or _numbers(version)[: len(bound)] <= bound
