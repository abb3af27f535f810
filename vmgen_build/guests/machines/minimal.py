"""The disks of a minimal machine, made on this host: its root as the lxc way makes one, then as the disks of its
machine. The layers of the root are those of any other build."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmgen_build.artifacts.disk.image import write_disks
from vmgen_build.artifacts.result import Disk, Disks, tree_of
from vmgen_build.errors import Problem
from vmgen_build.guests.model import Output, Workshop
from vmgen_build.plan.bases import Base, MinimalMachine
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Plan, Step
from vmgen_build.recipe.recipe import Recipe


@contextmanager
def minimal_disks(workshop: Workshop, small: Plan, machine: Machine, output: Output) -> Iterator[Disks]:
    """small: what `plan_of_root` gives. workshop: one of trees, for it. machine: as it is while it is built.

    Raises StepFailed, BuildError, HostError.
    """
    done: list[str] = []
    for stage in small.stages:
        _make(workshop, small, stage, done, output)
        done.append(stage.id)
    with workshop.result(done) as result:
        tree = tree_of(result, "a minimal machine")
        raws = write_disks(machine, tree.root, tree.scratch, epoch=small.epoch)
        yield Disks(tuple(Disk(raw.name, raw.path) for raw in raws))


def minimal_problems(recipe: Recipe) -> list[Problem]:
    """What keeps a machine that is made from nothing from running the recipe's steps."""
    hardware = recipe.hardware
    whole = hardware.os.family.machine
    if whole is not None and whole.takes_orders:
        return []
    text = f"no whole machine of {hardware.os.name} runs a build yet: leave --host out; its image is made here then"
    return [Problem(hardware.at("os"), "[hardware] os", text, code="no-machine")]


def plan_of_root(plan: Plan, base: MinimalMachine) -> Plan:
    """What makes the root."""
    return replace(plan, base=base.root, steps=base.steps)


def _make(workshop: Workshop, plan: Plan, stage: Base | Step, done: list[str], output: Output) -> None:
    """The stage's layer, where it is not there. Raises StepFailed."""
    if workshop.holds(stage.id):
        return
    with workshop.claim(stage.id):
        if workshop.holds(stage.id):
            return
        if not isinstance(stage, Step):
            workshop.make_base(stage, plan, output)
            return
        with workshop.guest(plan, done) as guest:
            result = guest.run_step(stage, output)
            if not result.ok:
                raise result.failure()
            guest.keep_layer(stage)
