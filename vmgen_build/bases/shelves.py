"""What package archives hold now, by the names of packages: asked for by audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Newer = Callable[[str, str], bool]
"""Whether the first version comes after the second one, in the order of their package manager. Raises ValueError for
what is no version."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One suite or repository. title: "debian bookworm-security". security: whether it holds fixes of security alone.
    asked: epoch seconds, when that was known last. date: of its index, 0 where it has none. versions: name of a package
    -> the newest version."""

    title: str
    security: bool
    asked: float
    date: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shelves:
    """arches: of packages, in the words of their manager, that the shelves are about."""

    found: tuple[Shelf, ...]
    arches: frozenset[str]
    newer: Newer
