"""What a format is: how what a guest holds is packed into files, and how these are booted to be verified."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.errors import BuildError, Problem
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.progress import Progress
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.events import Bus, ProbeDone
    from vmgen_build.host.files import Written


@dataclass(frozen=True, slots=True)
class PackOptions:
    """compression: as --compression says, where a whole artifact is compressed. format: the name of one of the
    backend's."""

    compression: str
    format: str

    def __str__(self) -> str:
        """What tells artifacts of one plan apart; safe in a file's name."""
        return f"{self.format}-{self.compression.replace(':', '-')}"


def progress_on(bus: Bus) -> Progress:
    """Progress of the packing, as an event."""
    from vmgen_build.events import StepProgress

    return lambda done: bus.emit(StepProgress(step="pack", done=done, total=0, unit="bytes"))


UNPACK = "tar --numeric-owner --acls --xattrs --xattrs-include='*'"


def shown(value: object) -> str:
    """A word of a command, as a shell takes it."""
    return shlex.quote(str(value))


class Format(ABC):
    """One of a backend's own, or a module of backends/formats, which holds it as FORMAT and says whose it is."""

    name: ClassVar[str]
    """As --format says, and the manifest."""
    about: ClassVar[str]
    """For whom it is, in a few words."""
    endings: ClassVar[tuple[str, ...]]
    """What the name of its main file may end in: ".tar.zst"."""
    backends: ClassVar[tuple[str, ...]] = ()
    """Names of those that it belongs to, where it is none's own."""
    requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What packing needs of this host."""
    boot_requirements: ClassVar[tuple[Requirement, ...]] = ()
    """What only booting needs."""
    boot_timeout: ClassVar[float] = 180.0
    """Seconds that a boot may take."""
    as_exported: ClassVar[bool] = False
    """Whether it holds disks as a server sent them, and so is made of what comes from one alone."""

    of_root: ClassVar[bool] = False
    """Whether it is made of the root file system itself, and not of the machine's disks."""

    @abstractmethod
    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        """Make the artifact's files, the main one first. Disks may be moved or removed. Raises BuildError where such a
        result cannot be packed so."""

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        """The commands for using the files, a line each, as docs/using-images.md and docs/formats.md have them.
        machine: the recipe's name. What stands in CAPITALS is for the user to fill in."""
        return ()

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        """What of the recipe keeps it from being packed so; as warnings, what of the recipe it leaves out. Pure."""
        return []

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        """Names of the files, beside each other, of which an artifact of the described machine consists: its own
        first."""
        return (artifact.name,)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        """What the file itself shows without being booted, beyond its digest."""
        return []

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        """Boot a throwaway copy of the artifact, and wait until it is up. Raises BuildError where it is nothing that
        boots."""
        raise BuildError(f"{artifact.name} is nothing that boots; look at the file alone by --no-boot")
