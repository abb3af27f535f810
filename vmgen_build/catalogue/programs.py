"""What a program is on a system; `catalogue.catalogue` finds it, `catalogue.options` says how it is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """proto: "tcp" or "udp"."""

    number: int
    proto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRepository:
    """A package repository that a program comes from, beside those of the distribution.

    name: of the program whose it is, which others may share; what the package manager's files are called by. Either
    `line`, in the package manager's own form, or `url`, which may hold the package manager's own variables ($basearch).
    suite: "" for the distribution's code name. key: the address of the key that signs it; fingerprint: that key's, 40
    hex digits in capitals.
    """

    name: str
    url: str = ""
    line: str = ""
    suite: str = ""
    components: tuple[str, ...] = ("main",)
    key: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """What a program is built from where the system has no package of it, as [config] [[sources]] has it.

    urls: of the archive, tried in order. build: the build system; options: words for it. script: lines of sh in its
    place, "" for none. needs: names of data/building.ini. packages: what it needs to run. wants: names of programs that
    are built from their source before it.
    """

    urls: tuple[str, ...]
    sha256: str
    build: str
    options: tuple[str, ...] = ()
    script: str = ""
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program on one distribution.

    name: the catalogue's own ("firefox"); aliases: other names that mean it ("mozilla-firefox").
    packages: the distribution's package names; parameters: words that their own installers take. units: systemd units
    that run it, enabled when it is asked for.
    ports: what it listens on, opened by [network] allowed_programs. debconf: preseed lines
    ("postfix postfix/main_mailer_type select Internet Site"). commands: executables that its packages bring into PATH,
    for the probe; empty where they bring none. choices: value -> program name, for one that stands for several
    (mail_client = mozilla-thunderbird). setup: lines of sh for the guest, once the packages are there.
    idle: why its units do not come up before somebody configures it; machine: why they come up in a whole machine and
    not in a container. conflicts: names of programs that cannot be installed beside it; needs: those of which it wants
    one beside it. repository: where its packages come from, where that is not the distribution's own.
    source: what it is built from, where the system has no packages of it.
    checked: year and month in which its names were compared with an index of the system's packages, "" for never.
    """

    name: str
    category: str
    packages: tuple[str, ...]
    parameters: tuple[str, ...] = ()
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
    needs: tuple[str, ...] = ()
    repository: VendorRepository | None = None
    source: ProgramSource | None = None
    checked: str = ""
    notes: str = ""

    @property
    def runs(self) -> bool:
        """Whether its units are up in a freshly booted container."""
        return not self.idle and not self.machine

    def entry(self) -> str:
        """Canonical text of all that a step's result depends on; goes into step ids."""
        source = (self.repository,) if self.repository else ()
        return repr((self.name, self.packages, self.units, self.debconf, self.setup, *source))


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A wish that cannot be met: an unknown name, or a known program that this system lacks."""

    name: str
    reason: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """What the catalogue lacks of a program on a system.

    lacks: "packages", "units" or "commands". advice: what to do about it.
    """

    name: str
    category: str
    lacks: str
    advice: str
