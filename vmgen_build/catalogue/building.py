"""What programs are built with: build systems, and packages of tools and libraries by names of our own.

data/building.ini has the form of the catalogue of programs, with the option `packages` alone: a section is a tool or a
library. catalogue/places.py says which systems an option may be for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgen_build.catalogue.entries import Entry
    from vmgen_build.systems.model import System

_FILE = Path(__file__).parent / "data" / "building.ini"


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """marks: files at the top of a source tree that show that it is built so. needs: what building so takes; runs: what
    its result takes; names of data/building.ini."""

    marks: tuple[str, ...]
    needs: tuple[str, ...]
    runs: tuple[str, ...] = ()


_COMPILERS = ("c", "c++", "make", "pkg-config")

BUILD_SYSTEMS: Mapping[str, BuildSystem] = {
    "autotools": BuildSystem(("configure", "configure.ac", "configure.in"), _COMPILERS),
    "cmake": BuildSystem(("CMakeLists.txt",), (*_COMPILERS, "cmake")),
    "meson": BuildSystem(("meson.build",), (*_COMPILERS, "meson")),
    "python": BuildSystem(("pyproject.toml", "setup.py"), ("pip", "setuptools"), ("python",)),
    "cargo": BuildSystem(("Cargo.toml",), ("c", "cargo")),
    "make": BuildSystem(("GNUmakefile", "makefile", "Makefile"), _COMPILERS),
    "script": BuildSystem((), ()),
}
"""By the names that a recipe gives them. Of several marks in one tree the first one's system is meant."""

UNPACKERS: Mapping[str, str] = {
    "zip": "unzip",
    "bz2": "bzip2",
    "tbz2": "bzip2",
    "xz": "xz",
    "txz": "xz",
    "lzma": "xz",
    "zst": "zstd",
    "tzst": "zstd",
    "lz": "lzip",
}
"""Ending of an archive's name -> what unpacks it, where tar and gzip alone do not."""


def build_system_of(names: frozenset[str]) -> str | None:
    """What a tree with these names at its top is built by; None where nothing shows it."""
    return next((name for name, system in BUILD_SYSTEMS.items() if names & set(system.marks)), None)


def packages_for(need: str, system: System) -> tuple[str, ...] | None:
    """Packages of the system that bring a tool or library; None where the name is unknown, or the system lacks it."""
    entry = _entries().get(need)
    return (entry.words("packages", system) or None) if entry else None


def known_needs() -> frozenset[str]:
    return frozenset(_entries())


@cache
def _entries() -> Mapping[str, Entry]:
    from configobj import ConfigObj

    from vmgen_build.catalogue.entries import Entry

    parsed = ConfigObj(str(_FILE), list_values=False, interpolation=False, encoding="utf-8")
    return {name: Entry(name, "building", dict(parsed[name])) for name in parsed.sections}
