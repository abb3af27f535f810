"""What a build's steps print, without the secrets of its recipe and plan."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vmgen_build.errors import StepFailed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret
from vmgen_build.text import clean

MASK = "***"

SHORTEST = 4
"""Characters of a secret that is looked for: a shorter one is in many a word."""

_HASH = re.compile(r"\$[0-9a-z]{1,3}\$[^\s:]+")
"""crypt(5), as a line of chpasswd has it."""


class Scrubber:
    """Knows secrets as they are, as sh and batch quote them, and in base64, of UTF-8 and UTF-16LE, where more may
    follow behind them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._longest = max(map(len, forms), default=0)
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._any = re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
        self._beginnings = {form[:end] for form in forms for end in range(SHORTEST, len(form))}
        self._pieces = {part[-SHORTEST:] for part in self._beginnings}

    @classmethod
    def of(cls, recipe: Recipe, plan: Plan) -> Scrubber:
        return cls({*_of_recipe(recipe), *_of_plan(plan)})

    def text(self, line: str) -> str:
        """The line with MASK for each secret in it. One that only shows once the line is clean counts too."""
        found = self._any.sub(MASK, line)
        shown = clean(found)
        return self._any.sub(MASK, shown) if self._any.search(shown) else found

    def broken(self, first: str, second: str) -> tuple[int, int] | None:
        """Of a secret that begins at the end of one line and ends at the start of the next: how many characters of it
        stand in each."""
        most = self._longest - 1
        here = first[-most:] if most > 0 else ""
        both = here + second[:most]
        for start in range(len(here)):
            found = self._any.match(both, start)
            if found is not None and found.end() > len(here):
                return len(here) - start, found.end() - len(here)
        return None

    def may_go_on(self, line: str) -> bool:
        """Whether the line ends with so much of a secret that it is not to be shown before the next is known."""
        if line[-SHORTEST:] not in self._pieces:
            return False
        return any(line[-length:] in self._beginnings for length in range(SHORTEST, self._longest))

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Lines that follow each other."""
        found: list[str] = []
        with scrubbed(self, found.append) as output:
            for line in lines:
                output(line)
        return tuple(found)

    def failure(self, error: StepFailed) -> StepFailed:
        """The same failure, its last lines scrubbed."""
        return error.with_tail(self.lines(error.tail))


@contextmanager
def scrubbed(scrubber: Scrubber, output: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Takes lines, and hands them on scrubbed: at once, but for one that may end with the first part of a secret, which
    waits for the next."""
    stream = _Stream(scrubber, output)
    try:
        yield stream.line
    finally:
        stream.end()


class _Stream:
    def __init__(self, scrubber: Scrubber, output: Callable[[str], None]) -> None:
        self._scrubber, self._output = scrubber, output
        self._last = ""
        self._waits = False

    def line(self, line: str) -> None:
        if parts := self._scrubber.broken(self._last, line):
            here, there = parts
            if self._waits:
                self._last = self._last[:-here] + MASK
            line = MASK + line[there:]
        self.end()
        self._last, self._waits = line, self._scrubber.may_go_on(line)
        if not self._waits:
            self._output(self._scrubber.text(line))

    def end(self) -> None:
        """Show what waits."""
        if self._waits:
            self._waits = False
            self._output(self._scrubber.text(self._last))


def _forms(secret: str) -> Iterator[str]:
    """A key of several lines by each of them: no line of output holds two."""
    for line in secret.splitlines():
        if len(line.strip()) >= SHORTEST:
            yield from (line, line.replace("'", "'\\''"), line.replace("%", "%%"))
            yield from (_encoded(line.encode()), _encoded(line.encode("utf-16-le")))


def _encoded(value: bytes) -> str:
    """Base64, as far as it does not depend on what follows."""
    return base64.b64encode(value).decode()[: len(value) * 8 // 6]


def _of_recipe(value: Any) -> Iterator[str]:
    """Each Secret that the recipe's sections hold."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _of_recipe(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _of_recipe(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _of_recipe(inner)


def _of_plan(plan: Plan) -> Iterator[str]:
    """What steps are given beyond that: hashes that were made of passwords."""
    for step in plan.steps:
        for secret in step.secrets.values():
            yield from _HASH.findall(secret.reveal())
