"""A shell on the layers of a recipe, up to any of its steps; what is not in the cache is made first."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import planned
from vmgen_build.build.job import Build
from vmgen_build.build.logfile import open_log
from vmgen_build.build.offline import require_at_hand
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.sources import with_sources
from vmgen_build.build.steps import PlanRunner
from vmgen_build.errors import UsageError
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.model import Plan, Step
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.cachedir import own_folder
from vmgen_build.store.lease import lease

BASE = "base"
"""Stands for the state before the first step."""


@dataclass(frozen=True, slots=True)
class Entered:
    """step: the name of the one after which the guest is entered; "" for the last. command: none for a shell."""

    step: str = ""
    command: tuple[str, ...] = ()


def shell_on(recipe: Recipe, options: BuildOptions, wanted: Entered, bus: Bus) -> int:
    """Its exit code. The guest is gone afterwards, and what was made for it stays in the cache. Raises VmgenError."""
    place, plan, look = planned(recipe, options, bus)
    plan = up_to(plan, wanted.step)
    require_at_hand(place, plan, look)
    with (
        open_log(own_folder(options.cache, "logs"), f"{plan.name}-shell") as log,
        lease(options.cache) as leased,
    ):
        bus.add(log)
        build = Build(
            recipe=recipe,
            plan=plan,
            backend=backend_named(plan.backend),
            place=place,
            look=look,
            bus=bus,
            log=log.path,
            leased=leased,
        )
        try:
            with with_sources(build) as whole:
                return run_isolated(
                    lambda worker_bus: _entered(replace(whole, bus=worker_bus), wanted.command),
                    bus,
                    offline=options.offline,
                )
        finally:
            bus.remove(log)


def up_to(plan: Plan, step: str) -> Plan:
    """The plan with the steps up to this one, by its name or its title. Raises UsageError where it has none such."""
    names = [BASE, *(one.name for one in plan.steps)]
    titles = [plan.base.title, *(one.title for one in plan.steps)]
    if not step:
        return plan
    for known in (names, titles):
        if step in known:
            return replace(plan, steps=plan.steps[: known.index(step)])
    near = difflib.get_close_matches(step, [*names, *titles], 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise UsageError(f"--step {step}: there is no such step; {hint}the steps are {', '.join(names)}")


def _entered(build: Build, command: Sequence[str]) -> int:
    plan = build.plan
    with build.place.workshop(build) as workshop:
        runner = PlanRunner(build, workshop)
        with runner.steps_done(), workshop.guest(plan, runner.done) as guest:
            last = plan.steps[-1].name if plan.steps else BASE
            build.bus.note(f"this is {plan.name} after the step '{last}'; nothing of what is done here stays")
            build.bus.settle()
            return guest.enter(Step(name="shell", title="shell", script="#!/bin/sh\n", network=True), command)
