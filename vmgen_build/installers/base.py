"""What an installer is: programs to package-manager commands, as data and text. It runs nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vmgen_build.systems.model import System


@dataclass(frozen=True, slots=True)
class Source:
    """A package repository. Either `line`, in the package manager's own form, or `url` with its suite and components.

    key: the bytes of the key that signs it. name: as the recipe has it; the installer makes a file name of it.
    """

    name: str
    url: str = ""
    suite: str = ""
    components: tuple[str, ...] = ("main",)
    line: str = ""
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file for the guest: its path there, and its bytes."""

    path: str
    content: bytes
    mode: int = 0o644


class Installer(ABC):
    """One package manager; a module of installers/ each, named as System.installer, with its INSTALLER.

    What a package's name looks like is the family's to say (Family.package_names): a recipe is checked by it.
    """

    supply: ClassVar[str] = ""
    """Name of what fetches its packages and makes its bases (bases.supply); "" for the installer's own."""

    @abstractmethod
    def install(self, packages: Sequence[str], recommends: bool = False) -> list[str]:
        """The command, as argv, that installs packages, all in one run and without a question."""

    @abstractmethod
    def is_installed(self, packages: Sequence[str]) -> str:
        """Lines of sh: exit 0 if all are installed; else 1, and the names of the others, one a line."""

    @abstractmethod
    def list_installed(self) -> str:
        """A line of sh that prints every package: name, version and architecture with tabs between, sorted by name."""

    @abstractmethod
    def repository(self, source: Source, system: System) -> tuple[GuestFile, ...]:
        """The files that make the guest know a repository. ValueError where the source cannot be written so."""

    @abstractmethod
    def canonical_sources(self, system: System) -> tuple[str, str]:
        """Path and text of the distribution's own sources (System.archives), as a fresh installation has them.

        ValueError where they are not known.
        """
