"""What a backend is: what to make, where its plan may run, how it is packed, how it is booted to be verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.artifacts.result import Result
from vmgen_build.boots.model import Booted
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.host.files import Written
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Part, Plan
from vmgen_build.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class PackOptions:
    """compression: as --compression says, where a whole artifact is compressed. format: one of the backend's."""

    compression: str
    format: str

    def __str__(self) -> str:
        """What tells artifacts of one plan apart; safe in a file's name."""
        return f"{self.format}-{self.compression.replace(':', '-')}"


class Backend(ABC):
    """A package of backends/ each, whose module `backend` holds it as BACKEND."""

    name: ClassVar[str]
    requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What packing needs of this host."""
    formats: ClassVar[tuple[str, ...]] = ("tar",)
    """What --format may name, the default first."""
    boot_requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What only booting needs."""
    prefers: ClassVar[tuple[str, ...]] = ()
    """What it would rather have its containers made by on a node (build.places.nodes.drivers), first of all."""
    boot_timeout: ClassVar[float] = 180.0
    """Seconds that a boot may take."""

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        """What packing this very plan needs beyond `requirements`."""
        return ()

    @abstractmethod
    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        """The backend's share of the plan. Pure. epoch: as Plan.epoch."""

    @abstractmethod
    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        """Make the artifacts, the main one first. Raises BuildError where this backend cannot pack such a result."""

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        """What can be told of the file without booting it, beyond its digest."""
        return []

    @abstractmethod
    def boot(
        self, artifact: Path, manifest: Mapping[str, object], bus: Bus, *, scratch: Path, timeout: float
    ) -> AbstractContextManager[Booted]:
        """Boot a throwaway copy of the artifact, and wait until it is up.

        Called in a worker of host.namespaces that has a network of its own. scratch: an empty folder whose parent's
        name is the lease's tag; timeout: seconds that the boot may take.
        """
