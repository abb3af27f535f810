"""The programs that the tool knows, and what they are on each distribution.

The data are the INI files in data/, in the form of ConfigObj (https://configobj.readthedocs.io; values are taken as
they stand, those of several lines in triple quotes): a file is a category, a section a program, and
`catalogue.options` says what its options mean.

Others bring folders of such files by an entry point of the group vmgen_build.programs, and a recipe names files of its
own by [config] catalogue. What such a file says of a program that is known already is laid over what is known.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vmgen_build.ahead import SUFFIX, made_ahead, marked
from vmgen_build.catalogue.entries import Entry, laid_over
from vmgen_build.catalogue.options import CATEGORIES, wrong_option, wrong_value
from vmgen_build.catalogue.programs import Hole, Program, Unavailable, VendorRepository
from vmgen_build.errors import PluginError
from vmgen_build.plugins import folders
from vmgen_build.systems.model import System

_OWN = Path(__file__).parent / "data"

_SECTIONS = "sections"

GROUP = folders("vmgen_build.programs")

_LONGEST_NAME = 64
"""A longer name is not compared with the known ones."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """entries: by name. names: every spelling, normalised, -> entry name. packages: package -> entry name, for
    those of one entry alone."""

    entries: Mapping[str, Entry]
    names: Mapping[str, str]
    packages: Mapping[str, str]

    def find(self, name: str) -> Entry | None:
        found = self.names.get(normal(name)) or self.packages.get(name)
        return self.entries[found] if found else None

    def beyond(self, other: Catalogue) -> tuple[Entry, ...]:
        """The entries that the other has not, or has otherwise."""
        return tuple(entry for entry in self.entries.values() if other.entries.get(entry.name) != entry)

    def with_entries(self, entries: Iterable[Entry]) -> Catalogue:
        """One that has these too, laid over its own."""
        return _catalogue_of([*self.entries.values(), *entries])

    def resolve(self, name: str, choice: str | None, system: System) -> Program | Unavailable:
        """The program that a recipe's line means on a system."""
        entry = self.find(name)
        if entry is None:
            return Unavailable(name, f"no program is called '{name}'", self._near(name))
        if choice is None:
            return self._on(entry, system)
        if wrong := self.wrong_choice(name, choice):
            return wrong
        chosen = self.find(choice) or entry
        return self._on(entry, system) if chosen.name == entry.name else self._program(chosen, system)

    def wrong_choice(self, name: str, choice: str) -> Unavailable | None:
        """Why a known program cannot have this value, on any system; None where it can, and for an unknown program."""
        entry, chosen = self.find(name), self.find(choice)
        if entry is None:
            return None
        others = tuple(name for name in entry.words("choices") if name != entry.name)
        if chosen is not None and chosen.name in (entry.name, *others):
            return None
        *first, last = ("1", "0", *others)
        reason = f"'{choice}' is no choice for '{entry.name}', which takes {', '.join(first)} or {last}"
        return Unavailable(choice, reason, self._near(choice, others) if others else ())

    def is_known(self, name: str) -> bool:
        """Whether a recipe's line of that name means a program, on any system."""
        return self.find(name) is not None

    def known_names(self) -> frozenset[str]:
        """Every name and alias, and the packages that mean one program alone."""
        spelled = (word for e in self.entries.values() for word in (e.name, *e.words("aliases")))
        return frozenset(spelled) | self.names.keys() | self.packages.keys()

    def all_programs(self, system: System) -> list[Program]:
        """What the system has, by category and name; a program that only stands for others has no packages."""
        return [self._make(e, system) for e in self._sorted() if isinstance(self._on(e, system), Program)]

    def holes(self, system: System) -> Iterator[Hole]:
        """What the catalogue lacks for the system: packages, units of a service, commands to prove it by."""
        for entry in self._sorted():
            if not entry.says("packages") and entry.says("choices"):
                continue
            missing = self._missing(entry, system)
            if missing is not None:
                advice = missing or "no package of the system is known that brings it"
                yield Hole(entry.name, entry.category, "packages", advice)
                continue
            if entry.says("units") and not entry.says("units", system):
                advice = "its service is not enabled; do that by a [config] script, or name its units in a catalogue"
                yield Hole(entry.name, entry.category, "units", advice)
            if not entry.says("commands", system):
                yield Hole(entry.name, entry.category, "commands", "its packages alone are proven to be there")

    def built_first(self, program: Program, system: System) -> tuple[Program, ...]:
        """What is built from source before a program that is, each after what it wants itself."""
        order = self._order(self.entries[program.name], system)
        return tuple(self._make(entry, system) for entry in order[:-1])

    def _order(self, entry: Entry, system: System) -> tuple[Entry, ...]:
        """What its source wants, in the order in which that is built, and itself at the end. Raises ValueError, its
        text saying what stands in the way."""
        from graphlib import CycleError, TopologicalSorter

        wants: dict[str, tuple[str, ...]] = {}
        waiting = [entry]
        while waiting:
            each = waiting.pop()
            source = each.source(system)
            wants[each.name] = source.wants if source else ()
            for name in wants[each.name]:
                wanted = self.entries.get(name)
                if wanted is None or wanted.words("packages", system) or wanted.source(system) is None:
                    raise ValueError(f"{each.name} wants '{name}' built first, which is not built from source there")
                if name not in wants:
                    waiting.append(wanted)
        try:
            return tuple(self.entries[name] for name in TopologicalSorter(wants).static_order())
        except CycleError as error:
            raise ValueError(f"{error.args[1][0]} is wanted by what it wants built first") from error

    def _sorted(self) -> list[Entry]:
        return sorted(self.entries.values(), key=lambda e: (CATEGORIES.index(e.category), e.name))

    def _on(self, entry: Entry, system: System) -> Program | Unavailable:
        """The program itself, or the first choice of one without packages anywhere."""
        if any(key.startswith("packages") for key in entry.options) or not entry.words("choices"):
            return self._program(entry, system)
        found = [self._program(choice, system) for choice in self._chosen(entry)]
        return next((p for p in found if isinstance(p, Program)), found[0] if found else self._program(entry, system))

    def _program(self, entry: Entry, system: System) -> Program | Unavailable:
        missing = self._missing(entry, system)
        if missing is None:
            return self._make(entry, system)
        return Unavailable(entry.name, f"{system.name} has no '{entry.name}'" + (f": {missing}" if missing else ""))

    def _missing(self, entry: Entry, system: System) -> str | None:
        """Why the system lacks it, or what to do about that; "" where nothing is known, None where it has it."""
        if entry.words("packages", system):
            return None
        if entry.source(system) is None:
            return entry.text("missing", system)
        try:
            self._order(entry, system)
        except ValueError as error:
            return str(error)
        return None

    def _make(self, entry: Entry, system: System) -> Program:
        packages = entry.words("packages", system)
        return Program(
            name=entry.name,
            category=entry.category,
            packages=packages,
            parameters=entry.words("parameters", system),
            aliases=entry.words("aliases"),
            units=entry.words("units", system),
            ports=entry.ports(system),
            debconf=entry.lines("debconf", system),
            commands=entry.words("commands", system),
            choices=tuple(self._choices(entry)),
            setup=entry.lines("setup", system),
            idle=entry.text("idle", system),
            machine=entry.text("machine", system),
            conflicts=entry.words("conflicts", system),
            needs=entry.words("needs", system),
            repository=self._repository(entry, system),
            source=None if packages else entry.source(system),
            checked=entry.checked(system),
            notes=entry.text("notes", system),
        )

    def _repository(self, entry: Entry, system: System) -> VendorRepository | None:
        owner = self.entries.get(entry.text("repository", system), entry)
        return owner.repository(system)

    def _choices(self, entry: Entry) -> Iterator[tuple[str, str]]:
        for choice in self._chosen(entry):
            for word in (choice.name, *choice.words("aliases")):
                yield word, choice.name

    def _chosen(self, entry: Entry) -> list[Entry]:
        """Its choices; a recipe's own file may name one that there is not, which is reported."""
        return [self.entries[name] for name in entry.words("choices") if name in self.entries]

    def _near(self, name: str, among: tuple[str, ...] = ()) -> tuple[str, ...]:
        """At most two programs, of `among` where there are any, whose names or aliases look like `name`."""
        from difflib import get_close_matches

        wanted = normal(name)
        if len(wanted) > _LONGEST_NAME:
            return ()
        spellings = [word for word, meaning in self.names.items() if not among or meaning in among]
        close = get_close_matches(wanted, spellings, n=4, cutoff=0.75)
        return tuple(dict.fromkeys(self.names[word] for word in close))[:2]


def known_programs() -> Catalogue:
    """The tool's own, and what installed packages add. Raises PluginError."""
    return _read_all(tuple(GROUP.every().values()))


def normal(name: str) -> str:
    """A spelling as names are compared."""
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _catalogue_of(found: Iterable[Entry]) -> Catalogue:
    entries = laid_over(found)
    names = {normal(entry.name): entry.name for entry in entries.values()}
    for entry in entries.values():
        for alias in entry.words("aliases"):
            names.setdefault(normal(alias), entry.name)
    packages = {entry.name: entry.all_packages() for entry in entries.values()}
    owners = Counter(package for each in packages.values() for package in each)
    alone = {p: name for name, each in packages.items() for p in each if owners[p] == 1 and p not in names}
    return Catalogue(entries, names, alone)


@lru_cache(maxsize=2)
def _read_all(added: tuple[Path, ...]) -> Catalogue:
    """added: folders of others."""
    entries = [entry for category in CATEGORIES for entry in _own(category)]
    for folder in added:
        for category in CATEGORIES:
            theirs = list(read(folder, category))
            _refuse_wrong(folder / f"{category}.ini", theirs)
            entries += theirs
    return _catalogue_of(entries)


def _own(category: str) -> Iterator[Entry]:
    """Of the tool's own files."""
    path = _OWN / f"{category}.ini"
    names = made_ahead(str(path), _digest(path))
    sections = _sections(path) if names is None else names[_SECTIONS]
    return (Entry(name, category, options) for name, options in sections.items())


def code_of_programs(folder: Path) -> Iterator[tuple[Path, str]]:
    """What setup.py writes beside each of the tool's own files of programs (vmgen_build.ahead): its path, its text."""
    for path in (folder / f"{category}.ini" for category in CATEGORIES):
        yield path.with_name(path.name + SUFFIX), marked(f"{_SECTIONS} = {_sections(path)!r}", _digest(path))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(folder: Path, category: str) -> Iterator[Entry]:
    """The entries of a folder's file of that category; none where there is no such file. Raises PluginError."""
    path = folder / f"{category}.ini"
    if not path.is_file():
        return
    for name, options in _sections(path).items():
        yield Entry(name, category, options)


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """Name of a section -> its options. Raises PluginError."""
    from configobj import ConfigObj, ConfigObjError

    try:
        parsed = ConfigObj(str(path), list_values=False, interpolation=False, encoding="utf-8")
    except ConfigObjError as error:
        raise PluginError(f"the file of programs {path}", str(error)) from error
    return {name: {option: parsed[name][option] for option in parsed[name].scalars} for name in parsed.sections}


def _refuse_wrong(path: Path, entries: Iterable[Entry]) -> None:
    for entry in entries:
        for key, value in entry.options.items():
            if wrong := wrong_option(key) or wrong_value(key, value):
                raise PluginError(f"the file of programs {path}", f"[{entry.name}] {key}: {wrong}")
