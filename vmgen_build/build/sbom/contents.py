"""What a list of an image's contents says, whatever its format: the artifact, its packages, and what was downloaded."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vmgen_build.artifacts.facts import PackageFacts
from vmgen_build.backends.registry import backend_named
from vmgen_build.host.files import Written
from vmgen_build.plan.model import Plan
from vmgen_build.text import without_passwords

if TYPE_CHECKING:
    from packageurl import PackageURL

_TYPES = {"apt": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm", "pacman": "alpm"}
"""Package manager -> type of a purl, https://github.com/package-url/purl-spec."""

_SPACE = uuid.UUID("5f0c2f4e-6d3e-5d0b-9c57-1d0a6f7d9f11")
"""Of the serial numbers, each made of an artifact's digest: RFC 9562, 5.5."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a step fetched: its title, where it lies, and its sha256."""

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Contents:
    """files: of the artifact, the main one first."""

    plan: Plan
    files: tuple[Written, ...]
    packages: tuple[PackageFacts, ...]

    @property
    def main(self) -> Written:
        return self.files[0]

    @cached_property
    def serial(self) -> uuid.UUID:
        """The same for the same bytes."""
        return uuid.uuid5(_SPACE, self.main.sha256)

    @property
    def created(self) -> datetime.datetime:
        """SOURCE_DATE_EPOCH: the build's own time would differ in each."""
        return datetime.datetime.fromtimestamp(self.plan.epoch, datetime.timezone.utc)

    @property
    def is_machine(self) -> bool:
        return backend_named(self.plan.backend).whole_machines

    @cached_property
    def downloads(self) -> tuple[Download, ...]:
        return downloads_of(self.plan)

    def purl(self, package: PackageFacts) -> PackageURL:
        """pkg:deb/debian/vim@2:9.0-1?arch=amd64&distro=debian-12; of rpm the epoch stands apart."""
        from packageurl import PackageURL

        version, qualifiers = package.version, {"arch": package.arch, "distro": self.plan.os}
        if self._type == "rpm" and ":" in version:
            qualifiers["epoch"], _, version = version.partition(":")
        return PackageURL(self._type, self._namespace, package.name, version, qualifiers)

    def source_purl(self, package: PackageFacts) -> PackageURL:
        """Of the source package that it is made of."""
        from packageurl import PackageURL

        arch = "src" if self._type == "rpm" else "source"
        qualifiers = {"arch": arch, "distro": self.plan.os}
        return PackageURL(self._type, self._namespace, package.source, package.source_version or None, qualifiers)

    def download_purl(self, download: Download) -> PackageURL:
        from packageurl import PackageURL

        qualifiers = {"checksum": f"sha256:{download.sha256}", "download_url": download.url}
        return PackageURL("generic", None, download.name, None, qualifiers)

    @property
    def _type(self) -> str:
        return _TYPES.get(self.plan.system.installer, "generic")

    @property
    def _namespace(self) -> str:
        return self.plan.system.distribution


def downloads_of(plan: Plan) -> tuple[Download, ...]:
    """In the order of the steps. An archive's first address stands for all."""
    found = [(step, file) for step in plan.steps for file in step.files if file.urls]
    return tuple(Download(step.name, without_passwords(file.urls[0]), file.sha256) for step, file in found)


def contents_of(plan: Plan, files: Sequence[Written], packages: Sequence[PackageFacts]) -> Contents:
    return Contents(plan, tuple(files), tuple(sorted(set(packages))))
