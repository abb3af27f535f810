"""Whether the sizes that a recipe gives can hold its packages, before anything is built.

The estimate is less than the content will be: the packages' own figures, without what their scripts write. What the
content really takes is known when it is packed, and the backend has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from vmgen_build.backends.registry import backend_named
from vmgen_build.backends.room import Room
from vmgen_build.bases.supply import COMPLETE, Request, Sizing, Supply, supply_kind
from vmgen_build.build.places.model import Look, Place
from vmgen_build.errors import Position, RecipeError
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.model import Plan
from vmgen_build.plan.text.render import override_folder
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.lease import lease

SURE = 0.95
"""Of an estimate, what the content surely takes: docs/decisions.md has the figures."""


def require_room(recipe: Recipe, place: Place, planned: Sequence[tuple[Plan, Look]], bus: Bus) -> None:
    """Raises RecipeError at each size that is too small, with the size to write. Where steps of the recipe's own may
    make room again, it is a warning."""
    found: dict[Position, tuple[Room, int]] = {}
    for plan, look in planned:
        room = backend_named(plan.backend).room(recipe)
        size = None if room is None else installed_size(recipe, place, plan, look, bus)
        if room is None or size is None or size * SURE <= room.size:
            continue
        largest = found.get(room.where)
        if largest is None or size > largest[1]:
            found[room.where] = room, size
    problems = [room.too_small(size) for room, size in found.values()]
    if problems and not _may_make_room(recipe, place):
        raise RecipeError(problems)
    for problem in problems:
        bus.note(f"{problem}; the build fails at its end, unless a script of the recipe makes room", "warning")


def installed_size(recipe: Recipe, place: Place, plan: Plan, look: Look, bus: Bus) -> int | None:
    """Bytes that the plan's base and packages take, as the archive says before any is fetched; None where that cannot
    be known: of another base, with repositories of the recipe's own, and where the indexes are neither here nor fetched
    by this build."""
    if not isinstance(plan.base, Bootstrapped) or recipe.config.repos:
        return None
    cache = place.options.cache
    supply = supply_kind(plan.system).of_this_host(Request(plan.system, plan.mirror, plan.epoch), cache)
    packages = {*plan.base.packages, *(name for step in plan.steps for name in step.packages)}
    sizing = Sizing(cache, tuple(sorted(packages)), supply.indexes(cache, plan.base.release))
    known = supply.known_size(sizing)
    if known is not None:
        return known
    fetch = _fetches(place, plan, look)
    if not fetch and not (sizing.indexes / COMPLETE).exists():
        return None
    bus.note("asking the package archive how much room the packages take")
    return _asked(supply, sizing, place, bus, fetch=fetch)


def _asked(supply: Supply, sizing: Sizing, place: Place, bus: Bus, *, fetch: bool) -> int | None:
    """Where this host has no room for it, the build itself says so."""
    store = place.options.store()
    supply.prepare(sizing.indexes)
    with lease(sizing.cache) as leased:
        scratch = leased / "size"
        scratch.mkdir()

        def work(_: Bus) -> int | None:
            with suppress(OSError), store.claim(sizing.indexes.name):
                return supply.installed_size(sizing, scratch, fetch=fetch)
            return None

        return run_isolated(work, bus)


def _fetches(place: Place, plan: Plan, look: Look) -> bool:
    """Whether this build fetches the indexes to this host anyway."""
    if not place.isolated or place.options.offline:
        return False
    installing = [index for index, step in enumerate(plan.steps, 1) if step.installs]
    kept = place.kept_stages(plan, look) if place.options.use_cache else 0
    return kept <= max(installing, default=0)


def _may_make_room(recipe: Recipe, place: Place) -> bool:
    """Whether scripts that are not the tool's own run in the guest."""
    templates = override_folder(recipe.folder, place.options.templates)
    return bool(recipe.config.scripts) or templates is not None
