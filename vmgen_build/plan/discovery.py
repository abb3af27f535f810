"""The step modules: every module of vmgen_build.plan.steps, found by being there, and those that others bring by an
entry point of the group vmgen_build.steps.

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


def step_modules() -> tuple[StepModule, ...]:
    """In their order; of one place our own first. Raises PluginError."""
    return tuple(sorted((*_own(), *GROUP.every().values()), key=lambda module: module.ORDER))


@cache
def _own() -> tuple[StepModule, ...]:
    from vmgen_build.plan import steps

    names = sorted(module.name for module in pkgutil.iter_modules(steps.__path__))
    return tuple(cast(StepModule, importlib.import_module(f"{steps.__name__}.{name}")) for name in names)


def needed_packages(ctx: PlanContext) -> list[str]:
    """What the recipe's settings need installed, sorted, each once."""
    found = {package for module in step_modules() if hasattr(module, "needs") for package in _needs(module, ctx)}
    return sorted(found)


def _needs(module: object, ctx: PlanContext) -> Iterable[str]:
    return cast(NeedyModule, module).needs(ctx)
