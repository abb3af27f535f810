"""Every system that a recipe may name, and what this host and this version of the tool make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vmgen_build.bases.supply import base_maker, known_supply
from vmgen_build.build.requirements import RUNNING
from vmgen_build.host.architectures import requirements_of, why_not
from vmgen_build.host.programs import Requirement, find_program, missing
from vmgen_build.host.system import how_to_get
from vmgen_build.installers import find_installer
from vmgen_build.systems import families
from vmgen_build.systems.model import Distribution, System
from vmgen_build.systems.parse import architectures, parse_system

FOREIGN = ("images", "template", "file")
"""Ways to a base that need nothing of this host: an image server, an OS template of others, a file or an address that
the recipe names. Of the first two, the server has the last word."""


@dataclass(frozen=True, slots=True)
class Way:
    """name: the method that makes a base of the distribution's own packages, one of FOREIGN, or an architecture.
    lacks: what keeps this host from it, with what to do; "" for nothing."""

    name: str
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A system. can: "build", "compile" (planned and written out, to be read) or "check"; why: what keeps it from more,
    "" for nothing. bases: in the order of choice. tried: how, and when, as sentences."""

    system: str
    family: str
    version: str
    codename: str
    installer: str
    can: str
    why: str
    bases: tuple[Way, ...]
    architectures: tuple[Way, ...]
    tried: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """As --json prints it."""
        return asdict(self)


def known() -> Iterator[Known]:
    """In the order of families, distributions and their versions."""
    for family in families():
        for row in family.distributions:
            for version in _versions(row):
                yield _of_distribution(row, parse_system(f"{row.name}-{version}"))
        for edition in family.editions:
            yield _of_edition(parse_system(edition.name))


def _of_distribution(row: Distribution, system: System) -> Known:
    can, why = _can(system)
    return Known(
        system=system.name,
        family=system.family.name,
        version=system.version,
        codename=system.codename,
        installer=system.installer,
        can=can,
        why=why,
        bases=tuple(_bases(system)) if can == "build" else (),
        architectures=tuple(_architecture(system, arch) for arch in architectures()) if can == "build" else (),
        tried=tuple(
            f"{one.how} {one.when}: {' '.join(one.arches)}" for one in row.tried if system.version in one.versions
        ),
    )


def _of_edition(system: System) -> Known:
    why = "an image is made of a machine of a vSphere server that has it, and of no other: docs/windows.md"
    return Known(
        system=system.name,
        family=system.family.name,
        version=system.version,
        codename="",
        installer=system.installer,
        can="compile",
        why=why,
        bases=(),
        architectures=(),
        tried=(),
    )


def _can(system: System) -> tuple[str, str]:
    """What this version of the tool does, and why no more."""
    if find_installer(system) is None:
        return "compile", f"this version does not drive {system.installer}"
    if known_supply(system) is None:
        return "compile", f"this version fetches no packages for {system.installer}"
    return "build", _lacking(RUNNING)


def _bases(system: System) -> Iterator[Way]:
    if maker := base_maker(system):
        yield Way(system.base, _lacking((maker[1], *maker[0].checking)) or _without_keys(system))
    for name in FOREIGN:
        yield Way(name)


def _without_keys(system: System) -> str:
    """Where this host has none of the files that hold the archives' keys."""
    named = [name for archive in system.archives for name in (archive.keyring, *archive.host_keys) if name]
    if not named or any(Path(name).exists() for name in named):
        return ""
    if system.family.name == "debian":
        return f"this host lacks {named[0]}; {how_to_get([Path(named[0]).stem])}"
    keys = how_to_get(["distribution-gpg-keys"])
    return f"this host has no keys of {system.distribution}: name their file as [hardware] base_key, or {keys}"


def _architecture(system: System, arch: str) -> Way:
    unbuilt = parse_system(f"{system.name}-{arch}").unbuilt
    return Way(arch, unbuilt or why_not(arch) or _lacking(requirements_of(arch)))


def _lacking(requirements: tuple[Requirement, ...]) -> str:
    lacking = [one for one in requirements if find_program(one.command) is None]
    return str(missing(lacking)) if lacking else ""


def _versions(row: Distribution) -> list[str]:
    """Those that the tables name; a distribution of any number of versions shows its example."""
    tried = [version for one in row.tried for version in one.versions]
    return list(dict.fromkeys((*row.known, *row.bases, *tried))) or [row.example.partition("-")[2]]
