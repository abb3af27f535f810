"""Which packages of an image have a newer version in their distribution's archive now, and which of these are fixes of
security. Nothing of the image is read but its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.manifest import manifest_bytes, manifest_in, read_manifest
from vmgen_build.bases.shelves import Shelf, Shelves
from vmgen_build.bases.supply import Request, known_supply
from vmgen_build.errors import BuildError, HostError
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system


@dataclass(frozen=True, slots=True)
class OlderPackage:
    """A package of the image that is older than that of an archive. security: whether one of the versions that came
    since is a fix of security, which `archive` holds."""

    name: str
    installed: str
    available: str
    security: bool
    archive: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of an image. known: how many of its packages the archives have; elsewhere: names of the others. asked:
    epoch seconds, when the archives were read last. has_security: whether one holds fixes alone. advice: what to do
    about it."""

    artifact: Path
    os: str
    findings: tuple[OlderPackage, ...]
    known: int
    elsewhere: tuple[str, ...]
    asked: float
    archives: tuple[str, ...]
    has_security: bool
    advice: str

    @property
    def security(self) -> tuple[OlderPackage, ...]:
        return tuple(one for one in self.findings if one.security)


def audit(path: Path, cache: Path, *, offline: bool = False) -> Audit:
    """path: an artifact, with its manifest beside it, or a manifest. Raises HostError, and BuildError where the
    archives do not answer, or those of its family are not known."""
    manifest = _manifest(path)
    system = _system(manifest)
    kind = known_supply(system) if system.base else None
    shelves = kind.shelves(Request(system, None, 0), cache, offline=offline) if kind else None
    if shelves is None:
        raise BuildError(
            f"{path}: which packages are newer is not known for the family {system.family.name}; audit reads the"
            " archives of Debian and Ubuntu"
        )
    packages = manifest["packages"]
    if not packages:
        raise HostError(f"{path}: its manifest lists no packages, so nothing can be compared; build the image anew")
    findings, elsewhere = _compared(packages, shelves)
    return Audit(
        artifact=path,
        os=str(manifest["os"]),
        findings=tuple(findings),
        known=len(packages) - len(elsewhere),
        elsewhere=tuple(elsewhere),
        asked=min(one.asked for one in shelves.found),
        archives=tuple(one.title for one in shelves.found),
        has_security=any(one.security for one in shelves.found),
        advice=_advice(manifest),
    )


def _manifest(path: Path) -> Mapping[str, Any]:
    if not path.name.endswith(".manifest.json"):
        return read_manifest(path)
    try:
        return manifest_in(manifest_bytes(path), path)
    except FileNotFoundError as error:
        raise HostError(f"there is no manifest {path}; name an image, or its .manifest.json") from error


def _system(manifest: Mapping[str, Any]) -> System:
    try:
        return parse_system(f"{manifest['os']}-{manifest['arch']}")
    except ValueError as error:
        raise HostError(f"the manifest names a system that this version does not know: {error}") from error


def _compared(packages: list[dict[str, str]], shelves: Shelves) -> tuple[list[OlderPackage], list[str]]:
    findings: list[OlderPackage] = []
    elsewhere: list[str] = []
    for package in packages:
        having = [one for one in shelves.found if package["name"] in one.versions]
        if not having or package["arch"] not in shelves.arches:
            elsewhere.append(package["name"])
            continue
        try:
            found = _finding(package, having, shelves)
        except ValueError:
            elsewhere.append(package["name"])
            continue
        findings += [found] if found else []
    return sorted(findings, key=lambda one: (not one.security, one.name)), elsewhere


def _finding(package: Mapping[str, str], having: list[Shelf], shelves: Shelves) -> OlderPackage | None:
    name, installed = package["name"], package["version"]
    later = [one for one in having if shelves.newer(one.versions[name], installed)]
    if not later:
        return None
    newest = later[0]
    for one in later[1:]:
        newest = one if shelves.newer(one.versions[name], newest.versions[name]) else newest
    fixing = next((one for one in later if one.security), None)
    return OlderPackage(name, installed, newest.versions[name], fixing is not None, (fixing or newest).title)


def _advice(manifest: Mapping[str, Any]) -> str:
    """A build asks what the archive holds, and a base that is made of packages is made anew where that has changed."""
    recipe, base = manifest["recipe"].get("file") or "RECIPE", manifest["base"]
    again = f"vmgen-build {recipe} -b {manifest['backend']}"
    if base.get("sha256"):
        origin = base.get("source") or base.get("method") or "a file"
        return f"packages of its base ({origin}) stay as that has them: take a newer one, then: {again}"
    return f"build it again, which takes what the archive holds now: {again}"
