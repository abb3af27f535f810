"""What this host can do: each command with each format, target or program, in each place."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.build import verbs
from vmgen_build.build.verbs.model import Row, Rows
from vmgen_build.errors import UsageError
from vmgen_build.host.needs import Lack, Need, Readiness

_SHARED = ("model",)
"""Modules beside the commands."""

_USUAL = ("check", "compile", "build", "verify", "run", "shell", "install", "sign", "sbom", "audit")
"""The order that people read them in; others follow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """lacks: what is not there of what it needs."""

    verb: str
    row: Row
    lacks: tuple[Lack, ...] = ()

    @property
    def readiness(self) -> Readiness:
        found = {lack.readiness for lack in self.lacks}
        return next((one for one in (Readiness.NO, Readiness.DEGRADED) if one in found), Readiness.WORKS)

    @property
    def title(self) -> str:
        """As people name it, without the format: "verify lxc", "build vmware in qemu"."""
        place = "" if self.row.place == "here" else f"in {self.row.place}"
        return " ".join(word for word in (self.verb, self.row.backend, place) if word)

    @property
    def tags(self) -> frozenset[str]:
        """The words that ask for it."""
        row = self.row
        return frozenset({self.verb, row.backend, row.thing, *row.place.split(", ")} - {""})

    def as_dict(self) -> dict[str, object]:
        """As --json prints it."""
        return {
            "verb": self.verb,
            "backend": self.row.backend,
            "thing": self.row.thing,
            "place": self.row.place,
            "state": self.readiness.value,
            "why": [lack.why for lack in self.lacks],
            "packages": sorted({lack.package for lack in self.lacks if lack.package}),
            "advice": list(dict.fromkeys(lack.advice for lack in self.lacks if lack.advice)),
        }


def answers(words: Sequence[str] = ()) -> list[Answer]:
    """Those that the words ask for, all without any. Words of one kind widen, those of another narrow: "lxc kvm run".

    Raises UsageError for a word that asks for nothing, and where nothing is left.
    """
    found = [Answer(verb, row) for verb, rows in _verbs().items() for row in rows()]
    for group in _groups(words, found):
        found = [one for one in found if one.tags & group]
    if not found:
        raise UsageError(f"{' '.join(words)}: there is no such thing to do; 'vmgen-build doctor' lists what there is")
    looked: dict[Need, Lack | None] = {}
    return [Answer(one.verb, one.row, tuple(_lacks(one.row.needs, looked))) for one in found]


def counted(found: Iterable[Answer], words: Sequence[str]) -> list[Answer]:
    """Those whose lacks are this host's fault: all that were asked for, else all that everybody needs."""
    return [one for one in found if words or not one.row.extra]


def packages(found: Iterable[Answer]) -> list[str]:
    """Debian's names of all that is lacking."""
    return sorted({lack.package for one in found for lack in one.lacks if lack.package})


def _verbs() -> Mapping[str, Rows]:
    names = [module.name for module in pkgutil.iter_modules(verbs.__path__) if module.name not in _SHARED]
    names.sort(key=lambda name: (_USUAL.index(name) if name in _USUAL else len(_USUAL), name))
    return {name: importlib.import_module(f"{verbs.__name__}.{name}").rows for name in names}


def _lacks(needs: Iterable[Need], looked: dict[Need, Lack | None]) -> Iterator[Lack]:
    for need in needs:
        if need not in looked:
            looked[need] = need.lack()
        if lack := looked[need]:
            yield lack


def _groups(words: Sequence[str], every: Sequence[Answer]) -> list[set[str]]:
    """The words by what they are first of all: commands, backends, places, things. Raises UsageError."""
    kinds: list[frozenset[str]] = [
        frozenset(one.verb for one in every),
        frozenset(one.row.backend for one in every),
        frozenset(tag for one in every for tag in one.tags - {one.verb, one.row.backend, one.row.thing}),
        frozenset(one.row.thing for one in every),
    ]
    groups: list[set[str]] = [set() for _ in kinds]
    for word in (word.rstrip(":") for word in words):
        kind = next((number for number, known in enumerate(kinds) if word and word in known), None)
        if kind is None:
            known = sorted({tag for one in every for tag in one.tags})
            near = difflib.get_close_matches(word, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else "name a command, a backend, a format, a place or a target"
            raise UsageError(f"'{word}' is nothing that doctor knows; {hint}")
        groups[kind].add(word)
    return [group for group in groups if group]
