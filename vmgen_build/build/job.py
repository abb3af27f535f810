"""One build: a plan, where it runs, and all that its making needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.facts import PackageFacts
from vmgen_build.artifacts.manifest import StepRecord
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.model import Look, Place
from vmgen_build.events import Bus
from vmgen_build.host.files import Written
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe


def packing_title(backend: str) -> str:
    return f"packing for {backend}"


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the things that a build does, as its events name it. index counts from 1."""

    name: str
    title: str
    id: str
    index: int


@dataclass(frozen=True, slots=True)
class Made:
    """What a build gives back: the files of each format, the main one first; what was done for each stage; and the
    image's packages."""

    packed: Mapping[PackOptions, tuple[Written, ...]]
    steps: tuple[StepRecord, ...]
    packages: tuple[PackageFacts, ...]


@dataclass(frozen=True, kw_only=True)
class Build:
    """recipe, plan: what is built; the plan is of the recipe. backend: the plan's.
    place, look: where it runs, and what a look at it gave.
    bus: of the process that is at work. log: the file that listens. leased: a scratch folder of the build's own
    (store.lease), whose name is the build's tag.
    fresh: ids of the layers that this call of the tool has made, which --no-cache may take too.
    packings: what is to be packed.
    """

    recipe: Recipe
    plan: Plan
    backend: Backend
    place: Place
    look: Look
    bus: Bus
    log: Path
    leased: Path
    fresh: frozenset[str] = frozenset()
    packings: tuple[PackOptions, ...] = ()

    @property
    def options(self) -> BuildOptions:
        return self.place.options

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The base, the steps, and packing."""
        made = [Stage(item.name, item.title, item.id, index) for index, item in enumerate(self.plan.stages, 1)]
        return (*made, Stage("pack", packing_title(self.backend.name), self.plan.id, len(made) + 1))
