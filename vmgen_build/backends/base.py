"""What a backend is: what to make, where its plan may run, how it is packed, how it is booted to be verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.errors import UsageError
from vmgen_build.events import Bus, ProbeDone, StepProgress
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Part, Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.progress import Progress
    from vmgen_build.artifacts.result import Result
    from vmgen_build.backends.room import Room
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


@dataclass(frozen=True, slots=True)
class PackOptions:
    """compression: as --compression says, where a whole artifact is compressed. format: one of the backend's."""

    compression: str
    format: str

    def __str__(self) -> str:
        """What tells artifacts of one plan apart; safe in a file's name."""
        return f"{self.format}-{self.compression.replace(':', '-')}"


def progress_on(bus: Bus) -> Progress:
    """Progress of the packing, as an event."""
    return lambda done: bus.emit(StepProgress(step="pack", done=done, total=0, unit="bytes"))


class Backend(ABC):
    """A package of backends/ each, whose module `backend` holds it as BACKEND."""

    name: ClassVar[str]
    requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What packing needs of this host."""
    formats: ClassVar[tuple[str, ...]] = ("tar",)
    """What --format may name, the default first."""
    as_exported: ClassVar[frozenset[str]] = frozenset()
    """Those of them that hold disks as a server sent them, and so are made of what comes from one alone."""
    boot_requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What only booting needs."""
    prefers: ClassVar[tuple[str, ...]] = ()
    """What it would rather have its containers made by on a node (build.places.nodes.drivers), first of all."""
    whole_machines: ClassVar[bool] = False
    """Whether what it makes is a whole machine, and no container."""
    boot_timeout: ClassVar[float] = 180.0
    """Seconds that a boot may take."""

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        """What packing this very plan needs beyond `requirements`."""
        return ()

    @abstractmethod
    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        """The backend's share of the plan. Pure. epoch: as Plan.epoch."""

    def extra_files(self, recipe: Recipe, templates: Path | None) -> Mapping[str, str]:
        """Name -> text of what `compile` writes beside the plan, for people who take it by other means. No build reads
        it. Pure."""
        return {}

    def part_of_own(self, recipe: Recipe, templates: Path | None) -> Part:
        """The same where the plan starts from a whole machine of the user's, which boots already. Raises UsageError
        where the backend makes no such ones."""
        raise UsageError(f"-b {self.name}: its image is no whole machine; take -b vmware or -b kvm")

    def room(self, recipe: Recipe) -> Room | None:
        """What the recipe gives the content; None where that is as large as its content. Raises VmgenError."""
        return None

    @abstractmethod
    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        """Make the artifacts, the main one first. Raises BuildError where this backend cannot pack such a result."""

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        """Names of the files, beside each other, of which an artifact of the described machine consists: its own
        first."""
        return (artifact.name,)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        """What the file itself shows without being booted, beyond its digest."""
        return []

    @abstractmethod
    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        """Boot a throwaway copy of the artifact, and wait until it is up."""
