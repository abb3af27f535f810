"""The fixed room that a recipe gives the content of an image, where it gives one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmgen_build.errors import Position, Problem
from vmgen_build.recipe.types.basic import show_size
from vmgen_build.text import size as in_words

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """size: bytes, of all that may hold a part of the system. given: those of the option that it depends on; where,
    option: its place, as in Problem; what: names the room where that is not the option's own; or_else: what else may be
    done, as the end of a sentence.

    usual: content in bytes -> bytes that it gets where the recipe leaves the size open.
    """

    size: int
    given: int
    where: Position
    option: str
    usual: Callable[[int], int]
    what: str = ""
    or_else: str = ""

    def advised(self, content: int) -> int:
        """What to give in place of `given`: bytes, whole GiB."""
        return -(-(self.given - self.size + self.usual(content)) // GIB) * GIB

    def too_small(self, content: int) -> Problem:
        text = (
            f"{in_words(self.size)}{self.what} is too small: the packages alone take about {in_words(content)};"
            f" write size = {show_size(self.advised(content))}{self.or_else}"
        )
        return Problem(self.where, self.option, text, code="too-small")
