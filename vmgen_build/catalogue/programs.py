"""The programs that the tool knows, and what they are on each distribution.

The data are the INI files in data/, in the form of ConfigObj (https://configobj.readthedocs.io; values are taken as
they stand, those of several lines in triple quotes): a file is a category, a section a program. Its options:

    aliases     other names that mean it; packages of one program alone, of whatever system, mean it too
    choices     names of programs, itself among them, that a recipe may give as its value (mail_client = thunderbird).
                A program without packages of its own stands for the first choice that the system has.
    packages    the system's packages; "-" where it has none. dnf groups are written @id, zypper patterns pattern:id,
                packages outside pacman's repositories name@aur; on Windows they are Chocolatey's ids.
    units       systemd units that run it
    ports       number/tcp or number/udp
    commands    executables on PATH that prove that it is installed
    debconf     answers for debconf-set-selections(1), one a line
    setup       lines of sh, run as root in the guest once its packages are there
    idle        why its units do not come up before somebody configures it
    machine     why its units come up in a whole machine and not in a container
    conflicts   programs that cannot be installed beside it
    missing     what to do where there are no packages
    notes       what a user should know

An option may carry the system that it is for: packages.debian, packages.debian-13, packages.debian-i386,
packages.debian-13-i386; the most specific one counts, and one without a system is for all. What a distribution lacks it
takes from its relative (Distribution.relative: ubuntu from debian, centos from fedora), unless it has its own.

Others bring folders of such files by an entry point of the group vmgen_build.programs. What such a file says of a
program that is known already is laid over what is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from configobj import ConfigObj, ConfigObjError

from vmgen_build.errors import PluginError
from vmgen_build.plugins import folders
from vmgen_build.systems.model import System

_OWN = Path(__file__).parent / "data"

CATEGORIES = ("network", "devel", "services", "gui")

GROUP = folders("vmgen_build.programs")

_LONGEST_NAME = 64
"""A longer name is not compared with the known ones."""


@dataclass(frozen=True, slots=True)
class Port:
    """proto: "tcp" or "udp"."""

    number: int
    proto: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program on one distribution.

    name: the catalogue's own ("firefox"); aliases: other names that mean it ("mozilla-firefox").
    packages: the distribution's package names. units: systemd units that run it, enabled when it is asked for.
    ports: what it listens on, opened by [network] allowed_programs. debconf: preseed lines
    ("postfix postfix/main_mailer_type select Internet Site"). commands: executables that its packages bring into PATH,
    for the probe; empty where they bring none. choices: value -> program name, for one that stands for several
    (mail_client = mozilla-thunderbird). setup: lines of sh for the guest, once the packages are there.
    idle: why its units do not come up before somebody configures it; machine: why they come up in a whole machine and
    not in a container. conflicts: names of programs that cannot be installed beside it.
    """

    name: str
    category: str
    packages: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    debconf: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    setup: tuple[str, ...] = ()
    idle: str = ""
    machine: str = ""
    conflicts: tuple[str, ...] = ()
    notes: str = ""

    @property
    def runs(self) -> bool:
        """Whether its units are up in a freshly booted container."""
        return not self.idle and not self.machine

    def entry(self) -> str:
        """Canonical text of all that a step's result depends on; goes into step ids."""
        return repr((self.name, self.packages, self.units, self.debconf, self.setup))


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A wish that cannot be met: an unknown name, or a known program that this system lacks."""

    name: str
    reason: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One section of a data file, its options as they stand there."""

    name: str
    category: str
    options: Mapping[str, str]

    def with_options(self, options: Mapping[str, str]) -> _Entry:
        return replace(self, options={**self.options, **options})

    def words(self, option: str, system: System | None = None) -> tuple[str, ...]:
        return tuple(self.text(option, system).split())

    def lines(self, option: str, system: System) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.text(option, system).splitlines() if line.strip())

    def text(self, option: str, system: System | None = None) -> str:
        """The value that is the most specific for the system; "" where there is none."""
        for place in _places(system) if system else ():
            if (value := self.options.get(f"{option}.{place}")) is not None:
                return value
        return self.options.get(option, "")

    def packages(self, system: System) -> tuple[str, ...]:
        words = self.words("packages", system)
        return () if words == ("-",) else words

    def all_packages(self) -> set[str]:
        """Of every system."""
        values = (value.split() for key, value in self.options.items() if key.partition(".")[0] == "packages")
        return {word for words in values for word in words} - {"-"}


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """entries: by name. names: every spelling, normalised, -> entry name. packages: package -> entry name, for
    those of one entry alone."""

    entries: Mapping[str, _Entry]
    names: Mapping[str, str]
    packages: Mapping[str, str]

    def find(self, name: str) -> _Entry | None:
        found = self.names.get(_normal(name)) or self.packages.get(name)
        return self.entries[found] if found else None


def resolve(name: str, choice: str | None, system: System) -> Program | Unavailable:
    """The program that a recipe's line means on a system."""
    entry = _catalogue().find(name)
    if entry is None:
        return Unavailable(name, f"no program is called '{name}'", _near(name))
    if choice is None:
        return _on(entry, system)
    if wrong := wrong_choice(name, choice):
        return wrong
    chosen = _catalogue().find(choice) or entry
    return _on(entry, system) if chosen.name == entry.name else _program(chosen, system)


def wrong_choice(name: str, choice: str) -> Unavailable | None:
    """Why a known program cannot have this value, on any system; None where it can, and for an unknown program."""
    entry, chosen = _catalogue().find(name), _catalogue().find(choice)
    if entry is None:
        return None
    others = tuple(name for name in entry.words("choices") if name != entry.name)
    if chosen is not None and chosen.name in (entry.name, *others):
        return None
    *first, last = ("1", "0", *others)
    reason = f"'{choice}' is no choice for '{entry.name}', which takes {', '.join(first)} or {last}"
    return Unavailable(choice, reason, _near(choice, others) if others else ())


def is_known(name: str) -> bool:
    """Whether a recipe's line of that name means a program, on any system."""
    return _catalogue().find(name) is not None


def known_names() -> frozenset[str]:
    """Every name and alias, and the packages that mean one program alone."""
    catalogue = _catalogue()
    spelled = (word for e in catalogue.entries.values() for word in (e.name, *e.words("aliases")))
    return frozenset(spelled) | catalogue.names.keys() | catalogue.packages.keys()


def all_programs(system: System) -> list[Program]:
    """What the system has, by category and name; a program that only stands for others has no packages."""
    entries = sorted(_catalogue().entries.values(), key=lambda e: (CATEGORIES.index(e.category), e.name))
    return [_make(e, system) for e in entries if isinstance(_on(e, system), Program)]


def _on(entry: _Entry, system: System) -> Program | Unavailable:
    """The program itself, or the first choice of one without packages anywhere."""
    if any(key.startswith("packages") for key in entry.options):
        return _program(entry, system)
    found = [_program(_catalogue().entries[name], system) for name in entry.words("choices")]
    return next((p for p in found if isinstance(p, Program)), found[0])


def _program(entry: _Entry, system: System) -> Program | Unavailable:
    if entry.packages(system):
        return _make(entry, system)
    missing = entry.text("missing", system)
    return Unavailable(entry.name, f"{system.name} has no '{entry.name}'" + (f": {missing}" if missing else ""))


def _make(entry: _Entry, system: System) -> Program:
    return Program(
        name=entry.name,
        category=entry.category,
        packages=entry.packages(system),
        aliases=entry.words("aliases"),
        units=entry.words("units", system),
        ports=tuple(_port(word) for word in entry.words("ports", system)),
        debconf=entry.lines("debconf", system),
        commands=entry.words("commands", system),
        choices=tuple(_choices(entry)),
        setup=entry.lines("setup", system),
        idle=entry.text("idle", system),
        machine=entry.text("machine", system),
        conflicts=entry.words("conflicts", system),
        notes=entry.text("notes", system),
    )


def _choices(entry: _Entry) -> Iterator[tuple[str, str]]:
    for name in entry.words("choices"):
        for word in (name, *_catalogue().entries[name].words("aliases")):
            yield word, name


def _near(name: str, among: tuple[str, ...] = ()) -> tuple[str, ...]:
    """At most two programs, of `among` where there are any, whose names or aliases look like `name`."""
    wanted = _normal(name)
    if len(wanted) > _LONGEST_NAME:
        return ()
    names = _catalogue().names
    spellings = [word for word, meaning in names.items() if not among or meaning in among]
    close = get_close_matches(wanted, spellings, n=4, cutoff=0.75)
    return tuple(dict.fromkeys(names[word] for word in close))[:2]


def _port(word: str) -> Port:
    number, _, proto = word.partition("/")
    return Port(int(number), proto)


@lru_cache(maxsize=32)
def _places(system: System) -> tuple[str, ...]:
    """What an option's system part may be, the most specific first."""
    own = _spellings(system.distribution, system.version, system.arch)
    relative = _spellings(system.relative, system.relative_version, system.arch) if system.relative else ()
    return *own, *relative


def _spellings(distribution: str, version: str, arch: str) -> tuple[str, ...]:
    """version: "" where none is meant."""
    versioned = f"{distribution}-{version}"
    return (*((f"{versioned}-{arch}", versioned) if version else ()), f"{distribution}-{arch}", distribution)


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _catalogue() -> _Catalogue:
    """Raises PluginError."""
    return _read_all(tuple(GROUP.every().values()))


@lru_cache(maxsize=2)
def _read_all(added: tuple[Path, ...]) -> _Catalogue:
    """added: folders of others."""
    entries: dict[str, _Entry] = {}
    for folder in (_OWN, *added):
        for entry in (entry for category in CATEGORIES for entry in _read(folder, category)):
            known = entries.get(entry.name)
            entries[entry.name] = known.with_options(entry.options) if known else entry
    names = {_normal(entry.name): entry.name for entry in entries.values()}
    for entry in entries.values():
        for alias in entry.words("aliases"):
            names.setdefault(_normal(alias), entry.name)
    owners = Counter(package for entry in entries.values() for package in entry.all_packages())
    packages = {p: e.name for e in entries.values() for p in e.all_packages() if owners[p] == 1 and p not in names}
    return _Catalogue(entries, names, packages)


def _read(folder: Path, category: str) -> Iterator[_Entry]:
    path = folder / f"{category}.ini"
    if not path.is_file():
        return
    try:
        parsed = ConfigObj(str(path), list_values=False, interpolation=False, encoding="utf-8")
    except ConfigObjError as error:
        raise PluginError(f"the file of programs {path}", str(error)) from error
    for name in parsed.sections:
        yield _Entry(name, category, {option: parsed[name][option] for option in parsed[name].scalars})
