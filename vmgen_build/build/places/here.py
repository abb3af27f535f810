"""This host: disposable lxc containers in namespaces of the build's own. The place where no --host is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.build.choice import Chosen, choose_base
from vmgen_build.build.finding import Finding
from vmgen_build.build.job import Build
from vmgen_build.build.places.model import Look, Place, refuse_server
from vmgen_build.build.requirements import RUNNING, base_requirements, container_needs
from vmgen_build.errors import Problem, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Workshop
from vmgen_build.host.architectures import requirements_of, why_not
from vmgen_build.host.needs import Need
from vmgen_build.host.programs import Requirement, require_root
from vmgen_build.plan.bases import MinimalMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.cachedir import own_folder
from vmgen_build.store.layers import Entry, Sweep


class HerePlace(Place):
    """What dead builds left here is reaped by their leases (store.lease), whatever the place of the next build is."""

    isolated: ClassVar[bool] = True

    @staticmethod
    def check_host(text: str) -> None:
        if text:
            raise UsageError(f"--host '{text}': leave it out to build on this host")

    def check_options(self) -> None:
        options = self.options
        refuse_server(options)
        for_nodes = {
            "--build-address": bool(options.build_address),
            "--accept-new-host-key": options.accept_new_host_key,
        }
        if alone := [name for name, given in for_nodes.items() if given]:
            raise UsageError(f"{alone[0]}: only for a build on a node, which --host names; leave it out, or add --host")

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        return look_of(choose_base(recipe, facts, self.options, None))

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        return look_of(choose_base(recipe, facts, self.options, bus.emit))

    def kept_stages(self, plan: Plan, look: Look) -> int:
        store = self.options.store()
        return len(list(takewhile(lambda item: store.holds(item.id), plan.stages)))

    def problems(self, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
        text = why_not(plan.arch)
        return [Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-architecture")] if text else []

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        base_is_made = not self.options.use_cache or self.kept_stages(plan, look) == 0
        return (*RUNNING, *requirements_of(plan.arch), *(base_requirements(plan) if base_is_made else ()))

    @classmethod
    def needs(cls, backend: Backend, form: Format) -> tuple[Need, ...] | None:
        return None if form.as_exported else container_needs()

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        from vmgen_build.guests.lxc.workshop import LxcWorkshop

        yield LxcWorkshop(self.options.store(), build.leased, build.plan, note_waiting(build.bus))

    def kept(self) -> list[Entry]:
        return self.options.store().entries()

    def prune(self, sweep: Sweep) -> list[Entry]:
        if not sweep.dry:
            require_root("dropping what builds made as root needs root", "--dry-run and cache ls need none")
        return self.options.store().prune(sweep.keep, sweep.older, sweep.dry)

    def doctor(self) -> list[Finding]:
        from vmgen_build.build.doctor import findings

        return findings(self.options.cache)


def note_waiting(bus: Bus) -> Callable[[str], None]:
    """Takes the id of a layer that another build is making, and says so."""
    return lambda layer_id: bus.note(f"waiting for another build that is making layer {layer_id[:12]}")


def kept_for(build: Build) -> Callable[[str], Path]:
    """Gives the folder that a machine of this build is left in, by a name for people."""
    return lambda name: own_folder(build.options.cache, "kept") / f"{name}-{build.leased.name}"


def minimal_requirements(plan: Plan) -> tuple[Requirement, ...]:
    """What the plan's minimal machine needs of this host, which makes it."""
    from vmgen_build.guests.machines.minimal import plan_of_root

    assert isinstance(plan.base, MinimalMachine)
    return (*RUNNING, *base_requirements(plan_of_root(plan, plan.base)))


def look_of(chosen: Chosen) -> Look:
    return Look(chosen.facts, note=chosen.note, unknown=chosen.unknown)


PLACE = HerePlace
