"""A recipe to a plan. Pure but for reading the files that the recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from vmgen_build.catalogue import programs as catalogue
from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.plan.bases import Base, Bootstrapped, OsTemplate
from vmgen_build.plan.context import Facts, LeftOut, PlanContext, guest_renderer
from vmgen_build.plan.discovery import DAILY, LAST, StepModule, step_modules
from vmgen_build.plan.model import Part, Plan, Step
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.systems import families
from vmgen_build.systems.model import System


def make_plan(
    recipe: Recipe, backend: str, part: Part, facts: Facts | None = None, templates: Path | None = None
) -> Plan:
    """All that a build of the recipe for one backend will do.

    templates: the folder whose templates stand for the shipped ones; by default `templates/` beside the recipe.
    A Linux system without a base is planned to be read (see refuse_unbuildable). What this version has no writer or no
    installer for is left out of the plan, which says so.
    Raises RecipeError where the system cannot be planned, or where a value cannot be carried.
    """
    facts = facts or Facts()
    system = recipe.hardware.os
    if system.kind != "linux":
        refuse_unbuildable(recipe)
    programs, unknown = _resolve(recipe.wishes, system)
    _refuse_conflicts(programs)
    ctx = PlanContext(recipe, system, facts, tuple(programs), guest_renderer(recipe, templates))
    base = make_base(system, facts)
    found = list(_all_steps(ctx, part))
    steps = [one for one in found if isinstance(one, Step)]
    left = [one for one in found if isinstance(one, LeftOut)]
    return Plan(
        name=recipe.name,
        recipe_path=str(recipe.path),
        recipe_digest=recipe.digest,
        backend=backend,
        os=system.name,
        arch=system.arch,
        epoch=facts.epoch,
        base=base,
        steps=tuple(_chain(base.id, _asked(steps, part.without))),
        build_recipe=dict(part.build_recipe),
        mirror=recipe.config.mirror,
        skipped=(*unknown, *left),
        probes=part.probes,
    )


def make_base(system: System, facts: Facts) -> Base:
    if facts.os_template:
        return OsTemplate(
            os_template=facts.os_template,
            sha256=facts.os_template_digest,
            distribution=system.distribution,
            suite=system.codename,
            arch=system.arch,
            packages=system.family.base_packages,
            epoch=facts.epoch,
        )
    family = system.family
    return Bootstrapped(
        method=system.base,
        distribution=system.distribution,
        suite=system.codename,
        arch=system.arch,
        packages=tuple(dict.fromkeys((*family.base_packages, *family.node_packages.get(facts.node, ())))),
        release=facts.release,
        epoch=facts.epoch,
    )


def refuse_unbuildable(recipe: Recipe) -> None:
    """Raises RecipeError at the recipe's os, where this version has no base to build it from."""
    system = recipe.hardware.os
    if not system.base:
        built = ", ".join(buildable())
        text = f"'{system.name}' is known, but this version does not build it; write one of {built}"
        raise RecipeError([Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-base")])


def buildable() -> tuple[str, ...]:
    """Names of the systems that this version has a base of."""
    rows = [row for family in families() for row in family.distributions]
    return tuple(f"{row.name}-{version}" for row in rows for version in row.bases)


def _resolve(wishes: Iterable[Wish], system: System) -> tuple[list[tuple[Wish, Program]], list[LeftOut]]:
    """The wishes that the system can meet, and the others."""
    met: list[tuple[Wish, Program]] = []
    left: list[LeftOut] = []
    for wish in wishes:
        found = catalogue.resolve(wish.name, wish.choice, system)
        if isinstance(found, Program):
            met.append((wish, found))
        else:
            left.append(LeftOut(wish.section, wish.choice or wish.name, found.reason))
    return met, left


def _refuse_conflicts(programs: Iterable[tuple[Wish, Program]]) -> None:
    """One problem for each two programs that exclude each other, at the later one's line."""
    earlier: list[tuple[Wish, Program]] = []
    problems: list[Problem] = []
    for wish, program in programs:
        for other, rival in earlier:
            if rival.name in program.conflicts or program.name in rival.conflicts:
                text = f"cannot be installed beside '{other.name}' ({other.where}); keep one of them"
                problems.append(Problem(wish.where, f"[{wish.section}] {wish.name}", text, code="conflict"))
        earlier.append((wish, program))
    if problems:
        raise RecipeError(problems)


def _all_steps(ctx: PlanContext, part: Part) -> Iterator[Step | LeftOut]:
    own = [(DAILY, part.packages), (LAST, part.steps)]
    for module in step_modules():
        while own and own[0][0] <= module.ORDER:
            yield from own.pop(0)[1]
        yield from _steps_of(module, ctx)
    for _, steps in own:
        yield from steps


def _asked(steps: Iterable[Step], without: frozenset[str]) -> Iterator[Step]:
    for step in steps:
        yield replace(step, probes=tuple(p for p in step.probes if p.name not in without)) if without else step


def _steps_of(module: StepModule, ctx: PlanContext) -> Iterator[Step | LeftOut]:
    """A value that a step refuses without knowing its line becomes a problem of the recipe as a whole."""
    try:
        yield from module.steps(ctx)
    except ValueError as error:
        raise RecipeError([Problem(Position(str(ctx.recipe.path), 0), "", str(error))]) from error


def _chain(parent: str, steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        chained = step.chained(parent)
        parent = chained.id
        yield chained
