"""An artifact by its name alone: the manifest beside it says the rest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.manifest import manifest_path, probes_of
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.backends.registry import all_backends, backend_named, formats_of
from vmgen_build.boots.model import IPAddress, IPInterface
from vmgen_build.build.questions import own_questions
from vmgen_build.errors import HostError, UsageError
from vmgen_build.plan.model import Probe

MANIFEST = manifest_path(Path("x")).name.removeprefix("x")
"""What the name of a manifest ends in."""

_OPEN = re.compile(r"firewall-tcp-(\d{1,5})|port-(\d{1,5})-open")
"""Names of probes of a port that the recipe opens."""

_USER = re.compile(r"\[users\] ([a-z_][a-z0-9_-]{0,31})")
_SETTING = re.compile(r"\[network\] (\S{1,15}): address")
_GATEWAY = re.compile(r"default via (\S+) dev (\S{1,15})")


@dataclass(frozen=True)
class Image:
    """An artifact that its manifest describes."""

    path: Path
    manifest: Mapping[str, Any]
    backend: Backend
    format: Format

    @property
    def name(self) -> str:
        """The machine's."""
        return str(self.manifest["name"])

    @property
    def arch(self) -> str:
        """In Debian's words."""
        return str(self.manifest["arch"])

    @property
    def sha256(self) -> str:
        """Of the file."""
        return str(next(file["sha256"] for file in self.manifest["files"] if file["name"] == self.path.name))

    @property
    def kind(self) -> str:
        """As the options say it: "-b lxc --format tar"."""
        return f"-b {self.backend.name} --format {self.format.name}"

    @property
    def is_machine(self) -> bool:
        """Whether it is a whole machine, and no container."""
        return self.backend.whole_machines

    @property
    def files(self) -> tuple[Path, ...]:
        """Itself first, and what belongs to it."""
        return tuple(self.path.with_name(file["name"]) for file in self.manifest["files"])

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        return probes_of(self.manifest)

    @property
    def open_ports(self) -> tuple[int, ...]:
        """TCP ports that its recipe opens, as far as its manifest says."""
        found = (_OPEN.fullmatch(probe.name) for probe in self.probes)
        return tuple(dict.fromkeys(int(match[1] or match[2]) for match in found if match))

    @property
    def users(self) -> tuple[str, ...]:
        """Names of those that its recipe made."""
        return tuple(match[1] for probe in self.probes if (match := _USER.fullmatch(probe.setting)))

    @property
    def addresses(self) -> tuple[tuple[str, IPInterface], ...]:
        """Its own fixed ones, each with its adapter, as far as its manifest says."""
        found = []
        for probe in self.probes:
            if match := _SETTING.fullmatch(probe.setting):
                try:
                    found.append((match[1], ip_interface(probe.expected)))
                except ValueError:
                    continue
        return tuple(found)

    @property
    def gateways(self) -> tuple[tuple[str, IPAddress], ...]:
        """As addresses."""
        found = []
        for probe in self.probes:
            if match := _GATEWAY.fullmatch(probe.expected):
                try:
                    found.append((match[2], ip_address(match[1])))
                except ValueError:
                    continue
        return tuple(found)


def find_image(path: Path) -> Image:
    """The artifact, or that of a manifest. Raises HostError where there is none, or its manifest describes another
    file; UsageError for one that a later version made."""
    if path.name.endswith(MANIFEST):
        path = path.with_name(path.name.removesuffix(MANIFEST))
    if not path.is_file():
        raise HostError(f"there is no file {path}; {_near(path)}")
    if not is_artifact(path):
        raise HostError(f"{path} is no artifact; where it is a recipe, build it first: vmgen-build {path}")
    found = own_questions(path)
    return Image(path, found.manifest, backend_named(str(found.manifest["backend"])), found.format)


def is_artifact(path: Path) -> bool:
    """Whether it is one rather than a recipe: a manifest lies beside it, or its name ends as one's does."""
    endings = tuple(
        ending for backend in all_backends().values() for one in formats_of(backend) for ending in one.endings
    )
    return manifest_path(path).is_file() or path.name.endswith((*endings, MANIFEST))


def refuse_for_artifacts(given: Mapping[str, object]) -> None:
    """Raises UsageError for an option of recipes. given: the options by name, and their values."""
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is for a recipe, and this is an artifact: leave it out, or name the recipe")


def _near(path: Path) -> str:
    """What may be meant."""
    there = [one for folder in (path.parent, Path("output")) for one in folder.glob(f"*{MANIFEST}")]
    names = {str(one.with_name(one.name.removesuffix(MANIFEST))): one for one in there}
    by_name = {name: name.rpartition("/")[2] for name in names}
    near = difflib.get_close_matches(path.name, by_name.values(), 1, 0.5)
    meant = next((name for name, last in by_name.items() if last in near), "")
    return f"did you mean {meant}?" if meant else "name an artifact that vmgen-build made, its manifest beside it"
