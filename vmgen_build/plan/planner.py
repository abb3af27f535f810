"""A recipe to a plan. Pure but for reading the files that the recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.host.files import sha256_of
from vmgen_build.installers import find_installer
from vmgen_build.plan.bootstrapped import Bootstrapped
from vmgen_build.plan.context import Facts, LeftOut, PlanContext, guest_renderer
from vmgen_build.plan.discovery import DAILY, LAST, StepModule, step_modules
from vmgen_build.plan.model import Part, Plan, Step, chained
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.systems import families
from vmgen_build.systems.model import System

if TYPE_CHECKING:
    from vmgen_build.plan.bases import Base

FROM_A_MACHINE = (
    "name its medium, which --host qemu: runs its Setup from: base = iso:FILE; or a machine of a vSphere server that"
    " has this system and VMware Tools: base = vm:NAME, with login and login_password; or its disk image"
)


def make_plan(
    recipe: Recipe, backend: str, part: Part, facts: Facts | None = None, templates: Path | None = None
) -> Plan:
    """All that a build of the recipe for one backend will do.

    templates: the folder whose templates stand for the shipped ones; by default `templates/` beside the recipe.
    A system without a base is planned to be read (see refuse_unbuildable). What this version has no writer or no
    installer for is left out of the plan, which says so.
    Raises RecipeError where the system cannot be planned, or where a value cannot be carried.
    """
    facts = facts or Facts()
    system = recipe.hardware.os
    if system.needs is not None:
        _require_machine(recipe, backend, part)
    programs, unknown = _resolve(recipe, facts)
    _refuse_conflicts(programs)
    ctx = PlanContext(recipe, system, facts, tuple(programs), guest_renderer(recipe, templates))
    base, part = _begun(ctx, part)
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
        steps=tuple(chained(_asked(steps, part.without), base.id)),
        build_recipe=dict(part.build_recipe),
        mirror=recipe.config.mirror,
        skipped=(*unknown, *left),
        probes=part.probes,
    )


def _require_machine(recipe: Recipe, backend: str, part: Part) -> None:
    """Raises RecipeError where the backend makes no whole machine."""
    from vmgen_build.plan.machine import FILE

    if FILE not in part.build_recipe:
        title = recipe.hardware.os.title
        text = f"{title} is a whole machine, and {backend} makes containers; take -b vmware or -b kvm"
        raise RecipeError([Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-machine")])


def _begun(ctx: PlanContext, part: Part) -> tuple[Base, Part]:
    """What the plan starts from, and what is left of the backend's part then."""
    hardware, facts = ctx.recipe.hardware, ctx.facts
    if facts.started:
        from vmgen_build.plan.bases import DiskMachine, Image, PlacedMachine
        from vmgen_build.plan.machine import FILE

        assert isinstance(facts.root, Image | PlacedMachine)
        communicator = hardware.communicator or facts.communicator
        login = "" if communicator == "agent" else hardware.login or ""
        return DiskMachine(facts.root, communicator, login, part.build_recipe[FILE], facts.source), part
    if facts.media:
        from vmgen_build.plan.installed import installed_machine

        return installed_machine(ctx, part), part
    base = make_base(ctx.system, facts, hardware.at("os" if hardware.base is None else "base"))
    return _in_machine(base, part, ctx) if facts.agent else (base, part)


def _in_machine(root: Base, part: Part, ctx: PlanContext) -> tuple[Base, Part]:
    """The machine that a plan starts from which runs in a whole one, and what is left of the backend's part then."""
    from vmgen_build.plan.minimal import Agent, minimal_machine

    whole = ctx.family.machine
    units = whole.tools["vmware"][1] if whole is not None and ctx.facts.login else ()
    agent = Agent(ctx.facts.agent, ctx.facts.login, units)
    base = minimal_machine(root, part, agent, ctx.renderer)
    probes = (*(probe for step in part.packages for probe in step.probes), *part.probes)
    return base, replace(part, packages=(), probes=probes)


def make_base(system: System, facts: Facts, where: Position) -> Base:
    """where: the recipe's line of its base, for what is found wrong with it."""
    if facts.os_template or system.needs is not None or facts.root is not None:
        return _base_of_others(system, facts, where)
    return Bootstrapped(
        method=system.base,
        distribution=system.distribution,
        suite=system.codename or system.version,
        arch=system.arch,
        packages=_base_packages(system, facts),
        release=facts.release,
        epoch=facts.epoch,
        keys=facts.keys,
        keys_sha256=sha256_of(facts.keys) if facts.keys else "",
    )


def _base_of_others(system: System, facts: Facts, where: Position) -> Base:
    from vmgen_build.plan.bases import Foreign, OsTemplate, PlacedMachine, SetUp

    if facts.os_template:
        return OsTemplate(
            os_template=facts.os_template,
            sha256=facts.os_template_digest,
            distribution=system.distribution,
            suite=system.codename or system.version,
            arch=system.arch,
            packages=system.base_packages,
            epoch=facts.epoch,
        )
    if system.needs is not None:
        return SetUp(system.name, system.arch, source=facts.source)
    assert facts.root is not None and not isinstance(facts.root, PlacedMachine)
    return Foreign(
        root=facts.root,
        os=system.name,
        arch=system.arch,
        packages=_base_packages(system, facts),
        release=facts.release,
        epoch=facts.epoch,
        source=facts.source,
        where=where,
    )


def _base_packages(system: System, facts: Facts) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*system.base_packages, *system.family.node_packages.get(facts.node, ()))))


def refuse_unbuildable(recipe: Recipe) -> None:
    """Raises RecipeError at the recipe's os, where this version has no base to build it from, and none is named."""
    system = recipe.hardware.os
    if system.needs is not None:
        _refuse_unstarted(recipe)
        return
    named = recipe.hardware.base is not None
    if not system.base and not named and (find_installer(system) is None or system.unbuilt):
        built = ", ".join(buildable())
        text = f"'{system.name}' is known, but this version does not build it; write one of {built}"
        if system.unbuilt:
            text = f"{system.unbuilt}: no {system.name} is built for {system.arch}; write {system.name}-amd64"
        raise RecipeError([Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-base")])


def _refuse_unstarted(recipe: Recipe) -> None:
    """A system that its own Setup makes is built from a machine that has it, or from its medium."""
    hardware = recipe.hardware
    if hardware.is_started or hardware.is_installed:
        return
    option = "os" if hardware.base is None else "base"
    text = f"{hardware.os.title} is not made here: {FROM_A_MACHINE}"
    raise RecipeError([Problem(hardware.at(option), f"[hardware] {option}", text, code="no-base")])


def buildable() -> tuple[str, ...]:
    """Names of the systems that this version has a base of."""
    rows = [row for family in families() for row in family.distributions]
    return tuple(f"{row.name}-{version}" for row in rows for version in row.bases)


def _resolve(recipe: Recipe, facts: Facts) -> tuple[list[tuple[Wish, Program]], list[LeftOut]]:
    """The wishes that the system can meet, and the others."""
    met: list[tuple[Wish, Program]] = []
    left: list[LeftOut] = []
    for wish in recipe.wishes:
        found = recipe.catalogue.resolve(wish.name, wish.choice, recipe.hardware.os)
        if isinstance(found, Program) and _has_repository(found, recipe, facts):
            met.append((wish, found))
        else:
            reason = _vendors(found) if isinstance(found, Program) else found.reason
            left.append(LeftOut(wish.section, wish.choice or wish.name, reason))
    return met, left


def _has_repository(program: Program, recipe: Recipe, facts: Facts) -> bool:
    """Whether the vendor's repository that it comes from, if it does, is known with its key, or the recipe's own."""
    known = facts.vendors.keys() | recipe.config.repos.keys()
    return program.repository is None or program.repository.name in known


def _vendors(program: Program) -> str:
    """Why a program of a vendor's repository is left out."""
    key = program.repository.key if program.repository else ""
    return f"the key of its repository is not known here yet; a build fetches it from {key}"


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
    for module in step_modules(ctx.family.kind):
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
        raise RecipeError([Problem(Position(str(ctx.recipe.path), 0), "", str(error), code="value")]) from error
