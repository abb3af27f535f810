"""This host: disposable lxc containers in namespaces of the build's own. The place where no --host is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.bases.ostemplate import DEFAULT_CHOICE
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


class HerePlace(Place):
    """What dead builds left here is reaped by their leases (store.lease), whatever the place of the next build is."""

    isolated: ClassVar[bool] = True

    @staticmethod
    def check_host(text: str) -> None:
        if text:
            raise UsageError(f"--host '{text}': leave it out to build on this host")

    def check_options(self) -> None:
        options = self.options
        for_nodes = {
            "--build-address": bool(options.build_address),
            "--accept-new-host-key": options.accept_new_host_key,
            "--ostemplate and --ostemplate-*": options.ostemplate != DEFAULT_CHOICE,
        }
        if alone := [name for name, given in for_nodes.items() if given]:
            raise UsageError(f"{alone[0]}: only for a build on a node, which --host names; leave it out, or add --host")

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        return Look(facts)

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        return Look(facts)

    def kept_stages(self, plan: Plan, look: Look) -> int:
        store = self.options.store()
        return len(list(takewhile(lambda item: store.holds(item.id), plan.stages)))

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        base_is_made = not self.options.use_cache or self.kept_stages(plan, look) == 0
        return (*RUNNING, *(base_requirements(plan) if base_is_made else ()))

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        from vmgen_build.guests.lxc.workshop import LxcWorkshop

        def waiting(layer_id: str) -> None:
            build.bus.note(f"waiting for another build that is making layer {layer_id[:12]}")

        yield LxcWorkshop(self.options.store(), build.leased, build.plan, waiting)

    def doctor(self) -> list[Finding]:
        from vmgen_build.build.doctor import findings

        return findings(self.options.cache)


PLACE = HerePlace
