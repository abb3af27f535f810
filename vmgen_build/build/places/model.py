"""What a place is: where plans run, what is found there, and what it takes of this host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.build.finding import Finding
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import Problem, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Workshop
from vmgen_build.host.needs import ROOT, Need
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.layers import Entry, Sweep

if TYPE_CHECKING:
    from vmgen_build.boots.model import Elsewhere
    from vmgen_build.build.job import Build


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a place gave.

    facts: what a plan that runs there is made from. there: names of what it keeps, in its own words.
    note: what a user may want to know of it; "" for nothing. unknown: what could not be known without changing
    something, as a sentence without its full stop: every step counts as one to run then.
    needs_address: whether what runs there reaches the outside by an address of its own alone.
    """

    facts: Facts
    there: frozenset[str] = frozenset()
    note: str = ""
    unknown: str = ""
    needs_address: bool = False


@dataclass(frozen=True)
class Place(ABC):
    """Where plans run; what --host names by its URL scheme. A module of this package each, which holds it as PLACE."""

    options: BuildOptions

    isolated: ClassVar[bool] = False
    """Whether its workshop works in namespaces of the build's own on this host.

    What comes out of any other's lies in the build's lease, and is there after the workshop has ended."""

    exports: ClassVar[bool] = False
    """Whether it is a server, which sends the machine's disks packed already (Backend.as_exported)."""

    @staticmethod
    @abstractmethod
    def check_host(text: str) -> None:
        """Raises UsageError where --host names no place of this kind."""

    @abstractmethod
    def check_options(self) -> None:
        """Raises UsageError for an option that means nothing here."""

    def check_building(self) -> None:
        """Raises UsageError where no plan runs there at all."""
        return

    @abstractmethod
    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        """What is there now. Changes nothing, neither there nor here. facts: of the archive. Raises VmgenError."""

    @abstractmethod
    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        """Reap what dead builds left there, fetch what must be known before the plan is made, and look."""

    @abstractmethod
    def kept_stages(self, plan: Plan, look: Look) -> int:
        """How many of the plan's first stages need not be made."""

    def problems(self, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
        """What keeps this plan of the recipe from running here, as far as a look tells."""
        return []

    @abstractmethod
    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        """What running this plan here needs of this host, packing aside."""

    @classmethod
    def needs(cls, backend: Backend, form: Format) -> tuple[Need, ...] | None:
        """What building such an image there needs of this host whatever the recipe says, packing aside: for doctor.
        None where none is built there."""
        return (ROOT,)

    @abstractmethod
    def workshop(self, build: Build) -> AbstractContextManager[Workshop]:
        """Where the build's guests are made; all of it is gone again at the end."""

    def throwaway(self, recipe: Recipe) -> Elsewhere:
        """Where images are booted that this host cannot ask. Raises UsageError where it boots none."""
        raise UsageError(
            f"--host {self.options.host}: no image is booted there to be verified; name a vSphere server, as --host"
            " vsphere://NAME"
        )

    def kept(self) -> list[Entry]:
        """What it keeps between builds, last used first. Raises UsageError where that is not known."""
        raise UsageError(f"--host {self.options.host}: what is kept there is not listed; leave --host out")

    def prune(self, sweep: Sweep) -> list[Entry]:
        """What was removed of it. What a running build uses stays. Raises UsageError as `kept`."""
        return sweep.gone(self.kept()[::-1], lambda _entry: False)

    @abstractmethod
    def doctor(self) -> list[Finding]:
        """What builds need of it, and what it lacks. Raises VmgenError where there is no way to it."""

    def doctor_of(self, base: str) -> list[Finding]:
        """The same of a machine of it that a recipe names as its base. Raises UsageError; else as `doctor`."""
        raise UsageError("--base: only for a machine of a vSphere server, as --host vsphere://NAME --base vm:NAME")


def refuse_server(options: BuildOptions) -> None:
    """Raises UsageError for options of a vSphere server: for all other places."""
    if given := (*options.trust.given, *options.placement.given, *(["--keep-as"] if options.keep_as else [])):
        raise UsageError(f"{given[0]}: only for a vSphere server, as --host vsphere://NAME; leave it out")
