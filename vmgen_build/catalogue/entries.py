"""An entry of the catalogue: a program's options as they stand in a file, and what they are on a system."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vmgen_build.catalogue.places import best
from vmgen_build.catalogue.programs import Port, ProgramSource, VendorRepository
from vmgen_build.systems.model import System

NONE = "-"
"""An option's value that says: there is none, and that is no hole."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One section of a data file, its options as they stand there, with the systems that they are for."""

    name: str
    category: str
    options: Mapping[str, str]

    def with_options(self, options: Mapping[str, str]) -> Entry:
        return replace(self, options={**self.options, **options})

    def words(self, option: str, system: System | None = None) -> tuple[str, ...]:
        words = tuple(self.text(option, system).split())
        return () if words == (NONE,) else words

    def lines(self, option: str, system: System) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.text(option, system).splitlines() if line.strip())

    def text(self, option: str, system: System | None = None) -> str:
        """The value that is the most specific for the system; "" where there is none."""
        start = f"{option}."
        places = [key[len(start) :] for key in self.options if key.startswith(start)] if system else []
        place = best(places, system) if system and places else None
        return self.options.get(option if place is None else start + place, "")

    def says(self, option: str, system: System | None = None) -> bool:
        """Whether there is a value for the system, or for any; that there is none counts as one."""
        if system is not None:
            return bool(self.text(option, system))
        return any(key.partition(".")[0] == option and value != NONE for key, value in self.options.items())

    def ports(self, system: System) -> tuple[Port, ...]:
        parts = (word.partition("/") for word in self.words("ports", system))
        return tuple(Port(int(number), proto) for number, _, proto in parts)

    def repository(self, system: System) -> VendorRepository | None:
        """Its own; None where it has none, or names the program whose it is."""
        where = self.text("repository", system)
        line = where if where.startswith("deb ") else ""
        if not line and "://" not in where:
            return None
        return VendorRepository(
            name=self.name,
            url="" if line else where,
            line=line,
            suite=self.text("suite", system),
            components=self.words("components", system) or ("main",),
            key=self.text("key", system),
            fingerprint=self.text("fingerprint", system).replace(" ", "").upper(),
        )

    def source(self, system: System) -> ProgramSource | None:
        urls = self.words("source", system)
        if not urls:
            return None
        script = self.text("source_script", system)
        return ProgramSource(
            urls=urls,
            sha256=self.text("source_sha256", system).lower(),
            build="script" if script else self.text("source_build", system),
            options=tuple(shlex.split(self.text("source_options", system))),
            script=script,
            needs=self.words("source_needs", system),
            packages=self.words("source_packages", system),
            wants=self.words("source_wants", system),
        )

    def checked(self, system: System) -> str:
        """What was seen of a relative says nothing of the system."""
        found = self.text("checked", replace(system, relatives=()))
        return "" if found == "unchecked" else found

    def all_packages(self) -> set[str]:
        """Of every system."""
        values = (value.split() for key, value in self.options.items() if key.partition(".")[0] == "packages")
        return {word for words in values for word in words} - {NONE}


def laid_over(entries: Iterable[Entry]) -> dict[str, Entry]:
    """By name; a later one of the same name adds its options to the earlier."""
    found: dict[str, Entry] = {}
    for entry in entries:
        known = found.get(entry.name)
        found[entry.name] = known.with_options(entry.options) if known else entry
    return found
