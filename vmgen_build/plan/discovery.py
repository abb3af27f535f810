"""The step modules: every module of vmgen_build.plan.steps for Linux, of vmgen_build.plan.windows for Windows, found by
being there, and for Linux those that others bring by an entry point of the group vmgen_build.steps.

A module has ORDER (its place among the others), `steps(ctx)`, and where its settings need packages `needs(ctx)`.
What it cannot do for the system it yields as LeftOut in place of a step.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Protocol, cast

from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.model import Step
from vmgen_build.plugins import Group

DAILY = 300
"""Modules from here on hold what people edit daily; a backend's own packages come before them."""

LAST = 900
"""Modules from here on come after the backend's other steps."""


class StepModule(Protocol):
    ORDER: int

    def steps(self, ctx: PlanContext) -> Iterator[Step | LeftOut]: ...


class NeedyModule(Protocol):
    def needs(self, ctx: PlanContext) -> Iterable[str]: ...


def _is_step_module(thing: object) -> bool:
    return isinstance(getattr(thing, "ORDER", None), int) and callable(getattr(thing, "steps", None))


GROUP = Group[StepModule]("vmgen_build.steps", "a module with ORDER and a function `steps`", _is_step_module)


ROOMS = {"linux": "vmgen_build.plan.steps", "windows": "vmgen_build.plan.windows"}
"""Kind of a family -> the package of its step modules."""


def step_modules(kind: str = "linux") -> tuple[StepModule, ...]:
    """Of a kind of families, in their order; of one place our own first. Raises PluginError."""
    others = GROUP.every().values() if kind == "linux" else ()
    return tuple(sorted((*_own(kind), *others), key=lambda module: module.ORDER))


@cache
def _own(kind: str) -> tuple[StepModule, ...]:
    room = importlib.import_module(ROOMS[kind])
    names = sorted(module.name for module in pkgutil.iter_modules(room.__path__))
    return tuple(cast(StepModule, importlib.import_module(f"{room.__name__}.{name}")) for name in names)


def needed_packages(ctx: PlanContext) -> list[str]:
    """What the recipe's settings need installed, sorted, each once."""
    needy = [module for module in step_modules(ctx.family.kind) if hasattr(module, "needs")]
    return sorted({package for module in needy for package in _needs(module, ctx)})


def _needs(module: object, ctx: PlanContext) -> Iterable[str]:
    return cast(NeedyModule, module).needs(ctx)
