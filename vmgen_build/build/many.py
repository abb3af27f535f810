"""Many recipes, one after the other or several at a time: each succeeds or fails for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vmgen_build.build.engine import build
from vmgen_build.build.options import BuildOptions, BuildResult
from vmgen_build.errors import HostError, UsageError, VmgenError
from vmgen_build.events import Bus
from vmgen_build.host.sidebyside import side_by_side
from vmgen_build.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a recipe: its results, or the error that left it without any."""

    recipe: Recipe
    results: tuple[BuildResult, ...] = ()
    error: VmgenError | None = None


def build_many(
    recipes: Sequence[Recipe], options: BuildOptions, bus: Bus, jobs: int, tick: Callable[[], None]
) -> Iterator[Outcome]:
    """Build each recipe, `jobs` at a time, and give its outcome as soon as it is there. What this host lacks for one it
    lacks for all: none is begun after such an error. A recipe that was not tried has no outcome.

    tick: called now and then while several run. Raises UsageError before anything is built, and KeyboardInterrupt once
    all is undone.
    """
    if jobs == 1 or len(recipes) == 1:
        return _one_by_one(recipes, options, bus)
    if options.on_error == "shell":
        raise UsageError("--on-error shell needs the terminal for itself: leave --jobs out, or say --on-error keep")
    return _several(recipes, options, bus, jobs, tick)


def _one_by_one(recipes: Sequence[Recipe], options: BuildOptions, bus: Bus) -> Iterator[Outcome]:
    for recipe in recipes:
        try:
            results = build(recipe, options, bus)
        except VmgenError as error:
            yield Outcome(recipe, error=error)
            if isinstance(error, HostError):
                return
            continue
        yield Outcome(recipe, results)


def _several(
    recipes: Sequence[Recipe], options: BuildOptions, bus: Bus, jobs: int, tick: Callable[[], None]
) -> Iterator[Outcome]:
    """Steps that recipes share are made once: a build waits where another makes the layer that it needs (store)."""
    lacking: list[HostError] = []

    def works() -> Iterator[Callable[[Bus], tuple[BuildResult, ...]]]:
        for recipe in recipes:
            if lacking:
                return
            yield partial(build, recipe, options)

    for ended in side_by_side(works(), jobs, bus, tick):
        if isinstance(ended.error, HostError):
            lacking.append(ended.error)
        yield Outcome(recipes[ended.index], ended.result or (), ended.error)
