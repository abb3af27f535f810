"""What an installer is: programs to package-manager commands, as data and text. It runs nothing."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vmgen_build.systems.model import Archive, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A package repository: `line`, in apt's one-line form; `text`, a whole file in the package manager's own form; or
    `url` with its suite and components.

    key: the bytes of the keys that sign it. name: as the recipe has it; the installer makes a file name of it.
    priority: the lower, the sooner a package is taken from it, 1 to 99; 0 for what the package manager does by itself.
    """

    name: str
    url: str = ""
    suite: str = ""
    components: tuple[str, ...] = ()
    line: str = ""
    text: str = ""
    key: bytes | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file for the guest: its path there, and its bytes."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Placement:
    """What makes the guest know a repository: files, and lines of sh that run once they are in place."""

    files: tuple[GuestFile, ...]
    setup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How packages are installed. recommends: with those that they merely recommend; tolerant: where a package's own
    script fails, and the package manager goes on, so does the build."""

    recommends: bool = False
    tolerant: bool = False


PLAIN = Manner()

LISTED = "printf '%s\\n' \"$listed\""
"""Prints what a list was read into, before a pipe: in a pipe a program's failure would be lost."""

SCRIPT_ADVICE = "a package's own script failed, see above; [config] failed_scripts = ignore goes on all the same"
"""Printed where that is why a build stops."""


class Installer(ABC):
    """One package manager; a module of installers/ each, named as System.installer, with its INSTALLER.

    What a package's name looks like is the family's to say (Family.package_names): a recipe is checked by it. A name
    may carry a version, as NAME=VERSION; what a package manager cannot do is a ValueError.
    Lines of sh run below `set -eu`, ask no question, and end otherwise than with 0 where something was not done.
    """

    supply: ClassVar[str] = ""
    """Name of what fetches its packages and makes its bases (bases.supply); "" for the installer's own."""

    @abstractmethod
    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        """Lines of sh that install packages and groups of them, all in one transaction."""

    @abstractmethod
    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        """Lines of sh that install package files of the guest, with what they depend on."""

    @abstractmethod
    def remove(self, packages: Sequence[str]) -> str:
        """Lines of sh that remove those of the packages that are installed, and what nothing else wants then."""

    @abstractmethod
    def hold(self, packages: Sequence[str]) -> str:
        """Lines of sh: no upgrade changes these packages."""

    @abstractmethod
    def on_hold(self, packages: Sequence[str]) -> str:
        """Lines of sh: exit 0 if all are held; else 1, and the names of the others, one a line."""

    @abstractmethod
    def is_installed(self, packages: Sequence[str]) -> str:
        """Lines of sh: exit 0 if all are installed; else 1, and the names of the others, one a line."""

    @abstractmethod
    def list_installed(self) -> str:
        """Lines of sh that print every package: name, version and architecture with tabs between, sorted by name.

        A list that breaks off is a failure, and no shorter list.
        """

    def describe_installed(self) -> str:
        """Lines of sh that print the same, and what else is known of each package, with tabs between: the name and the
        version of its source, who packed it, and its licence. In any order.

        A line of a tab, a package's name, a tab and a licence adds one to that package. Without licences it is no
        failure.
        """
        return self.list_installed()

    @abstractmethod
    def repository(self, source: Source, system: System) -> Placement:
        """What makes the guest know a repository. ValueError where the source cannot be written so."""

    @abstractmethod
    def canonical_sources(self, system: System) -> tuple[str, str] | None:
        """Path and text of the distribution's own sources (System.archives), as a fresh installation has them; None
        where a package of the distribution brings them, and the clean-up puts them back.

        ValueError where they are not known.
        """

    @abstractmethod
    def remove_unneeded(self) -> str:
        """Lines of sh that take names of packages by standard input, one a line, and remove those that no other package
        needs, all in one run. What is merely recommended is not needed."""

    def mark_wanted(self) -> str:
        """Lines of sh that take names of packages by standard input, one a line, that came as dependencies: they
        count as asked for, so that nobody who cleans up later removes them. Does nothing where nobody would."""
        return "cat >/dev/null\n"

    @abstractmethod
    def owners(self) -> str:
        """Lines of sh that take absolute paths by standard input, one a line, and print the names of the packages that
        own them. A path that no package owns is passed over."""


def addresses(system: System, mirror: str | None) -> list[tuple[Archive, str, str]]:
    """Of the system's own archives whose suites are paths: archive, path and address of each repository.

    mirror: what stands for the first archive's address.
    """
    found = []
    for archive in system.archives:
        uri = (mirror if mirror and archive is system.archives[0] else archive.uri).rstrip("/")
        found += [(archive, suite, f"{uri}/{suite}") for suite in archive.suites]
    return found


def each_missing(names: Sequence[str], check: str) -> str:
    """Lines of sh: exit 0 if `check`, a command about "$name", holds for all; else 1, and the other names.

    It may say nothing itself. With no names it is 0.
    """
    if not names:
        return ":\n"
    words = " ".join(shlex.quote(name) for name in names)
    return (
        f"set -- {words}\n"
        "missing=0\n"
        "for name; do\n"
        f"    {check} || {{\n"
        "        printf '%s\\n' \"$name\"\n"
        "        missing=1\n"
        "    }\n"
        "done\n"
        '[ "$missing" = 0 ]\n'
    )


def those_installed(names: Sequence[str], check: str, command: str) -> str:
    """Lines of sh that run `command` with those of the names as arguments for which `check`, about "$name", holds."""
    words = " ".join(shlex.quote(name) for name in names)
    return (
        f"set -- {words}\n"
        "for name; do\n"
        "    shift\n"
        f'    if {check}; then set -- "$@" "$name"; fi\n'
        "done\n"
        f'[ "$#" -eq 0 ] || {command} "$@"\n'
    )


def unpinned(names: Sequence[str]) -> list[str]:
    """The names without their versions."""
    return [name.partition("=")[0] for name in names]
