"""What a backend is: what to make, where its plan may run, in which formats it is packed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import Format
from vmgen_build.errors import UsageError
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Part, Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.backends.room import Room
    from vmgen_build.events import Bus


class Backend(ABC):
    """A package of backends/ each, whose module `backend` holds it as BACKEND."""

    name: ClassVar[str]
    formats: ClassVar[tuple[Format, ...]]
    """Its own, the default first; others stand in backends/formats."""
    prefers: ClassVar[tuple[str, ...]] = ()
    """What it would rather have its containers made by on a node (build.places.nodes.drivers), first of all."""
    whole_machines: ClassVar[bool] = False
    """Whether what it makes is a whole machine, and no container."""

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        """What packing this very plan needs beyond what its formats do."""
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

    def prepared(self, plan: Plan, result: Result, bus: Bus) -> Result:
        """What all its formats are packed of, made once of what the guest holds. Raises BuildError where that cannot
        be."""
        return result
