"""What a plan may start from, as data. Who makes each: bases/makers.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vmgen_build.plan.digests import FORMAT, digest_of


class _Identified(ABC):
    """A base's share in all kinds: its name among the stages of a plan, and an id made of its content."""

    @property
    def name(self) -> str:
        return "base"

    @property
    def title(self) -> str:
        """For people."""
        return "base system"

    @abstractmethod
    def content(self) -> Mapping[str, Any]:
        """All that the base's layer depends on, JSON-ready."""

    @cached_property
    def id(self) -> str:
        return digest_of({"format": FORMAT, **self.content()})

    def as_dict(self) -> dict[str, Any]:
        return {**self.content(), "id": self.id}


@dataclass(frozen=True)
class Bootstrapped(_Identified):
    """A root file system that is made of a distribution's packages.

    method: who makes it ("mmdebstrap"); suite "bookworm"; arch in Debian's words ("amd64").
    packages: what it holds beside the method's minimum. release: digest of the archive's Release files, so that a new
    point release or security update is another base. epoch: see Plan.epoch.
    """

    method: str
    distribution: str
    suite: str
    arch: str
    packages: tuple[str, ...]
    release: str
    epoch: int

    def content(self) -> Mapping[str, Any]:
        return {
            "method": self.method,
            "distribution": self.distribution,
            "suite": self.suite,
            "arch": self.arch,
            "packages": list(self.packages),
            "release": self.release,
            "epoch": self.epoch,
        }


@dataclass(frozen=True)
class OsTemplate(_Identified):
    """An OS template of others, brought to what a base of ours holds.

    os_template: its name, without .tar.gz; sha256: of the file. packages: what is installed where it lacks them; the
    others as in Bootstrapped.
    """

    os_template: str
    sha256: str
    distribution: str
    suite: str
    arch: str
    packages: tuple[str, ...]
    epoch: int

    def content(self) -> Mapping[str, Any]:
        """The keys are those that its id was always made of."""
        return {
            "method": "ostemplate",
            "distribution": self.distribution,
            "suite": self.suite,
            "arch": self.arch,
            "packages": list(self.packages),
            "release": self.sha256,
            "epoch": self.epoch,
            "template": self.os_template,
        }


@dataclass(frozen=True)
class Tarball(_Identified):
    """A root file system as a tar of this host, compressed or not. The folder that it lies in is no part of its id.

    file: where it lies; sha256: of its bytes, hex.
    """

    file: Path
    sha256: str

    @property
    def title(self) -> str:
        return f"base system of {self.file.name}"

    def content(self) -> Mapping[str, Any]:
        return {"method": "tarball", "file": self.file.name, "sha256": self.sha256}


@dataclass(frozen=True)
class Image(_Identified):
    """A disk image of this host, with a root file system in one of its partitions.

    file: where it lies; format: "raw", "qcow2" or "vmdk", which is known and never guessed; sha256: of its bytes, hex.
    """

    file: Path
    format: str
    sha256: str

    @property
    def title(self) -> str:
        return f"disk image {self.file.name}"

    def content(self) -> Mapping[str, Any]:
        return {"method": "image", "file": self.file.name, "format": self.format, "sha256": self.sha256}


@dataclass(frozen=True)
class PlacedMachine(_Identified):
    """A machine that a place has already: a container of this host.

    snapshot: one of its own; "" is the state that it is in. state: what tells this content of it from a later one.
    """

    machine: str
    snapshot: str = ""
    state: str = ""

    @property
    def title(self) -> str:
        return f"machine {self.machine}" + (f", snapshot {self.snapshot}" if self.snapshot else "")

    def content(self) -> Mapping[str, Any]:
        return {"method": "machine", "machine": self.machine, "snapshot": self.snapshot, "state": self.state}


Base = Bootstrapped | OsTemplate | Tarball | Image | PlacedMachine
