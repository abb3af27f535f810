"""What every kind of base is (plan.bases), and the base that is made of packages, which is most recipes'."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vmgen_build.plan.digests import FORMAT, digest_of


class Identified(ABC):
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

    def origin(self) -> Mapping[str, str]:
        """For the manifest: the method, what it was made of in a person's words, and its sha256, "" for none."""
        content = self.content()
        return {"method": str(content["method"]), "source": "", "sha256": str(content.get("sha256", ""))}


@dataclass(frozen=True)
class Bootstrapped(Identified):
    """A root file system that is made of a distribution's packages.

    method: who makes it ("mmdebstrap"); suite "bookworm", or the version where that has no name; arch in Debian's words
    ("amd64").
    packages: what it holds beside the method's minimum. keys: file of this host that they are checked by, None for what
    is known of the distribution; keys_sha256: of that file. release: digest of the archive's Release files, so that a
    new point release or security update is another base. epoch: see Plan.epoch.
    """

    method: str
    distribution: str
    suite: str
    arch: str
    packages: tuple[str, ...]
    release: str
    epoch: int
    keys: Path | None = None
    keys_sha256: str = ""

    def content(self) -> Mapping[str, Any]:
        keys = {"keys": self.keys_sha256} if self.keys_sha256 else {}
        return keys | {
            "method": self.method,
            "distribution": self.distribution,
            "suite": self.suite,
            "arch": self.arch,
            "packages": list(self.packages),
            "release": self.release,
            "epoch": self.epoch,
        }

    def origin(self) -> Mapping[str, str]:
        return {"method": self.method, "source": f"{self.distribution} {self.suite}".strip(), "sha256": ""}
