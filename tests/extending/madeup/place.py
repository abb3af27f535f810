"""--host nearby:FILE: namespaces of this host. Each build leaves a line in FILE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.build.finding import Finding
from vmgen_build.build.job import Build
from vmgen_build.build.places.model import Look, Place
from vmgen_build.build.requirements import RUNNING, base_requirements
from vmgen_build.errors import UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Workshop
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.layers import Store


class NearbyPlace(Place):
    isolated: ClassVar[bool] = True

    @staticmethod
    def check_host(text: str) -> None:
        if not text.removeprefix("nearby:"):
            raise UsageError("--host nearby: names no file; write it as nearby:visits.txt")

    def check_options(self) -> None:
        if self.options.build_address:
            raise UsageError("--build-address: nearby has no address of its own; leave it out")

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        return Look(facts, note=f"it is near: {self.book}")

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        return self.look(recipe, backend, facts)

    def kept_stages(self, plan: Plan, look: Look) -> int:
        store = Store(self.options.cache)
        return len(list(takewhile(lambda item: store.holds(item.id), plan.stages)))

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        return (*RUNNING, *base_requirements(plan))

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        from vmgen_build.guests.lxc.workshop import LxcWorkshop

        with self.book.open("a", encoding="utf-8") as file:
            file.write(f"{build.plan.name} for {build.plan.backend}\n")
        yield LxcWorkshop(self.options.store(), build.leased, build.plan, lambda _layer: None)

    def doctor(self) -> list[Finding]:
        there = self.book.absolute().parent.is_dir()
        return [Finding("nearby", there, str(self.book), advice="" if there else f"Make the folder of {self.book}.")]

    @property
    def book(self) -> Path:
        return Path(self.options.host.removeprefix("nearby:"))
