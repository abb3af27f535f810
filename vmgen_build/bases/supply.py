"""What the guests of one package manager get in a build: settings, package indexes, downloaded packages.

One module or package here for each, with its SUPPLY, a kind of Supply; and those that others bring by an entry point
of the group vmgen_build.supplies. An installer names the one that it takes (Installer.supply).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.shelves import Shelves
from vmgen_build.errors import BuildError
from vmgen_build.host.programs import Requirement
from vmgen_build.installers import Installer, find_installer, installer_for
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plugins import Group, own_module
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.store.layers import TREE
from vmgen_build.systems.model import System

Ask = Callable[[Sequence[str]], bytes]
"""Runs a program on another host and gives what it prints; nothing where it fails or is not there."""

COMPLETE = "complete"
"""There in a folder of indexes once all of them are."""


@dataclass(frozen=True, slots=True)
class Request:
    """Whose packages. mirror: the recipe's, None for that of the host that fetches. epoch: as Plan.epoch."""

    system: System
    mirror: str | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Making:
    """What the maker of a base gets. scratch: a new folder on the cache's file system; indexes: see Supply.indexes;
    output: takes lines."""

    cache: Path
    scratch: Path
    supply: Supply
    indexes: Path
    output: Callable[[str], None]

    @property
    def root(self) -> Path:
        """Where the base's root file system is to be; neither it nor the folder that holds it is there yet."""
        return self.scratch / TREE


@dataclass(frozen=True, slots=True)
class Sizing:
    """Of what the installed size is asked. packages: names, those of the base among them; indexes: see
    Supply.indexes."""

    cache: Path
    packages: tuple[str, ...]
    indexes: Path


class Supply(ABC):
    """How one host fetches packages for the guests of one system.

    In a guest, indexes and packages lie in one folder, "downloads", in the folders of these names.
    """

    makers: ClassVar[Mapping[str, Requirement]]
    """Method of making a base (Distribution.bases) -> the program of this host that does it."""
    checking: ClassVar[tuple[Requirement, ...]] = ()
    """Programs of this host that check what an archive says."""
    index_folders: ClassVar[tuple[str, ...]]
    package_folder: ClassVar[str]
    finishes: ClassVar[bool] = False
    """Whether a root that `bootstrap` makes is as `neutral` leaves one."""
    neutral: ClassVar[str]
    """A script of sh for the root of an OS template of others: no sources but the build's, and no service that starts
    while packages are installed. The clean-up at a build's end undoes it."""

    @classmethod
    @abstractmethod
    def of_this_host(cls, request: Request, cache: Path) -> Supply:
        """As this host fetches its own packages."""

    @classmethod
    @abstractmethod
    def of_host(cls, request: Request, ask: Ask) -> Supply:
        """As another host fetches its own packages."""

    @classmethod
    @abstractmethod
    def facts(cls, request: Request, own: Mapping[str, Repository], cache: Path, *, offline: bool) -> Facts:
        """What the system's archives hold now, as this host fetches its packages; the epoch is their date.

        own: the recipe's repositories by name. offline: what is known already. Raises BuildError naming what does not
        answer.
        """

    @classmethod
    def shelves(cls, request: Request, cache: Path, *, offline: bool) -> Shelves | None:
        """The versions of packages that the system's archives hold now; None where this version cannot read them.
        offline: those that were known last. Raises BuildError naming what does not answer."""
        return None

    @property
    def local(self) -> bool:
        """Whether packages come from a folder of this host, so that no network is asked for them."""
        return False

    @abstractmethod
    def environment(self, step_folder: str) -> Mapping[str, str]:
        """Variables that every command of a guest gets. step_folder: of the guest, where its settings lie."""

    @abstractmethod
    def settings(self, step_folder: str, downloads: str) -> Mapping[str, bytes]:
        """The files of the step's folder, by name, that a step finds which uses the network."""

    @abstractmethod
    def fetch_indexes(self, downloads: str) -> str:
        """A script of sh that fetches the indexes, and makes the folders that it needs where they are not there."""

    @abstractmethod
    def indexes(self, cache: Path, state: str) -> Path:
        """The folder of the cache for the indexes of one state of the archive, with COMPLETE in it once all are there.

        state: what they depend on beside the sources (the archive's release, the recipe's own repositories).
        """

    @abstractmethod
    def prepare(self, indexes: Path) -> None:
        """Make the folders of index_folders in it."""

    @abstractmethod
    def packages(self, cache: Path) -> Path:
        """The folder of the cache that holds downloaded packages, which all builds share."""

    @abstractmethod
    def keep(self, new: Path, packages: Path, indexes: Path) -> None:
        """Take packages over that a guest downloaded, those alone that the indexes name with their digest."""

    def known_size(self, sizing: Sizing) -> int | None:
        """What `installed_size` found before."""
        return None

    def installed_size(self, sizing: Sizing, scratch: Path, *, fetch: bool) -> int | None:
        """Bytes that a root takes which is made of the archive's smallest base and these packages, by the archive's own
        figures; None where it is not known. No package is fetched.

        scratch: a new folder; fetch: whether the indexes may be fetched where they are not there; they are claimed.
        """
        return None

    @abstractmethod
    def bootstrap(self, base: Bootstrapped, making: Making) -> None:
        """Make a root of the system's packages. Raises StepFailed."""


def _is_supply(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Supply)


GROUP: Group[type[Supply]] = Group("vmgen_build.supplies", "a class of Supply", _is_supply)


def supply_kind(system: System) -> type[Supply]:
    """That of the system's packages. Raises VmgenError where this version has no installer, or no supply."""
    name = _name_of(installer_for(system), system)
    kind = _named(name)
    if kind is None:
        raise BuildError(f"this version cannot fetch packages for {name}; name a Debian system, such as debian-12")
    return kind


def known_supply(system: System) -> type[Supply] | None:
    """As `supply_kind`, None where there is none."""
    installer = find_installer(system)
    return _named(_name_of(installer, system)) if installer else None


def base_maker(system: System) -> tuple[type[Supply], Requirement] | None:
    """The supply that makes the system's base, and the program that it needs; None where no supply does."""
    kind = known_supply(system)
    if kind is None or system.base not in kind.makers:
        return None
    return kind, kind.makers[system.base]


def _name_of(installer: Installer, system: System) -> str:
    return installer.supply or system.installer


def _named(name: str) -> type[Supply] | None:
    return _own(name) or GROUP.get(name)


def _own(name: str) -> type[Supply] | None:
    kind: type[Supply] | None = getattr(own_module(__package__, name), "SUPPLY", None)
    return kind
