"""Bases that are made on this host, in namespaces of their own."""

from __future__ import annotations

from vmgen_build.build.job import Build
from vmgen_build.events import Bus, StepOutput
from vmgen_build.guests.lxc.workshop import LxcWorkshop
from vmgen_build.host.namespaces import run_isolated


def make_base_here(build: Build) -> None:
    """Put the layer of the plan's base into the cache, where it is not there. For a place that takes it from there."""
    plan, store = build.plan, build.options.store()
    if store.holds(plan.base.id):
        return
    build.bus.note("making the base system here", verbose=True)

    def work(bus: Bus) -> None:
        workshop = LxcWorkshop(store, build.leased, plan, lambda _id: None)
        with workshop.claim(plan.base.id):
            if not store.holds(plan.base.id):
                workshop.make_base(plan.base, plan, lambda line: bus.emit(StepOutput(step="base", line=line)))

    run_isolated(work, build.bus, offline=plan.offline)
