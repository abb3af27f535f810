"""What a guest's package manager says of the packages that are installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vmgen_build.errors import BuildError
from vmgen_build.limits import GUEST_PACKAGES, MANIFEST_ENTRIES

_LONGEST = 1000
"""Characters of a field that are kept."""


@dataclass(frozen=True, slots=True, order=True)
class PackageFacts:
    """source, source_version: of the source package that it is made of, "" where that is not known. maintainer: "Ana
    <ana@example.org>", who packed it. licences: in the words of its system, each once, sorted."""

    name: str
    version: str
    arch: str
    source: str = ""
    source_version: str = ""
    maintainer: str = ""
    licences: tuple[str, ...] = ()


class PackageList:
    """Takes the lines of Installer.describe_installed, as they come, up to the limit."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    def add(self, line: str) -> None:
        self._size += len(line)
        if self._size <= GUEST_PACKAGES.amount:
            self._lines.append(line)

    def facts(self) -> tuple[PackageFacts, ...]:
        """Sorted. Raises BuildError for more than limits allow."""
        if self._size > GUEST_PACKAGES.amount:
            raise BuildError(f"the list of the image's packages: {GUEST_PACKAGES.exceeded}")
        rows = [[word[:_LONGEST] for word in line.split("\t")] for line in self._lines]
        licences = _licences(row for row in rows if len(row) == 3 and not row[0])
        found = tuple(sorted(_fact(row, licences.get(row[0], ())) for row in rows if len(row) >= 3 and row[0]))
        if len(found) > MANIFEST_ENTRIES.amount:
            raise BuildError(f"the list of the image's packages: {MANIFEST_ENTRIES.exceeded}")
        return found


def _licences(rows: Iterable[list[str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for _, name, licence in rows:
        found.setdefault(name, set()).add(" ".join(licence.split()))
    return {name: tuple(sorted(filter(None, every))) for name, every in found.items()}


def _fact(row: list[str], licences: tuple[str, ...]) -> PackageFacts:
    name, version, arch, source, source_version, maintainer, licence = [*row, *[""] * 7][:7]
    if source.endswith(".src.rpm"):
        source, source_version = _of_source_rpm(source)
    own = () if licence in ("", "(none)") else (licence,)
    shown = "" if maintainer == "(none)" else maintainer
    return PackageFacts(name, version, arch, source, source_version, shown, tuple(sorted({*licences, *own})))


def _of_source_rpm(file: str) -> tuple[str, str]:
    """NAME-VERSION-RELEASE.src.rpm: name, and version with release."""
    parts = file.removesuffix(".src.rpm").rsplit("-", 2)
    return (parts[0], "-".join(parts[1:])) if len(parts) == 3 else (file, "")
