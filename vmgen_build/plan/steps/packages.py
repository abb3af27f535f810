"""Programs of the catalogue, one step per section; then packages by name and what the settings need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vmgen_build.catalogue import programs as catalogue
from vmgen_build.catalogue.programs import Program
from vmgen_build.installers import Installer
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.discovery import needed_packages
from vmgen_build.plan.model import Probe, Step
from vmgen_build.recipe.sections.programs import PROGRAM_SECTIONS, Wish

ORDER = 200

TITLES = {
    "network": "network tools",
    "devel": "development tools",
    "services": "services",
    "gui": "graphical programs",
}

SERVICE_START = 20.0
"""Seconds that a service has to come up."""


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    installer = ctx.installer
    if installer is None:
        yield from _left_out(ctx)
        return
    for section in PROGRAM_SECTIONS:
        chosen = [(wish, program) for wish, program in ctx.programs if wish.section == section]
        if chosen:
            yield _section_step(ctx, installer, section, chosen)
    yield from _named_packages(ctx, installer)


def _left_out(ctx: PlanContext) -> Iterator[LeftOut]:
    name, installer = ctx.system.name, ctx.system.installer
    reason = f"packages of {name} are installed with {installer}, which this version does not drive"
    for wish, _ in ctx.programs:
        yield LeftOut(wish.section, wish.choice or wish.name, reason)
    for package in dict.fromkeys((*ctx.recipe.config.packages, *needed_packages(ctx))):
        yield LeftOut("config", package, reason)


def _section_step(ctx: PlanContext, installer: Installer, section: str, chosen: list[tuple[Wish, Program]]) -> Step:
    programs = {program.name: program for _, program in chosen}
    asked = _Asked(
        packages=_sorted(package for p in programs.values() for package in p.packages),
        debconf=_sorted(line for p in programs.values() for line in p.debconf),
        units=_sorted(unit for p in programs.values() for unit in p.units),
        setup=[line for p in sorted(programs.values(), key=lambda p: p.name) for line in p.setup],
    )
    return Step(
        name=f"packages-{section}",
        title=TITLES[section],
        script=_script(ctx, installer, asked),
        network=True,
        installs=True,
        packages=tuple(asked.packages),
        inputs={name: program.entry() for name, program in programs.items()},
        probes=tuple(probe for wish, program in chosen for probe in _program_probes(ctx, wish, program)),
    )


def _named_packages(ctx: PlanContext, installer: Installer) -> Iterator[Step]:
    asked = ctx.recipe.config.packages
    packages = _sorted([*asked, *needed_packages(ctx)])
    if not packages:
        return
    found = [catalogue.resolve(name, None, ctx.system) for name in packages]
    lines = [line for program in found if isinstance(program, Program) for line in program.debconf]
    debconf = _sorted(line for line in lines if line.split()[0] in packages)
    yield Step(
        name="packages-config",
        title="further packages",
        script=_script(ctx, installer, _Asked(packages, debconf)),
        network=True,
        installs=True,
        packages=tuple(packages),
        probes=tuple(_package_probe(ctx, name) for name in asked),
    )


@dataclass(frozen=True)
class _Asked:
    """What a step installs. debconf: answers to questions; setup: the catalogue's own lines; units: to run at boot."""

    packages: Sequence[str]
    debconf: Sequence[str] = ()
    units: Sequence[str] = ()
    setup: Sequence[str] = ()


def _script(ctx: PlanContext, installer: Installer, asked: _Asked) -> str:
    return ctx.renderer.sh(
        f"{ctx.family.templates}/packages.sh.j2",
        install=installer.install(asked.packages, ctx.recipe.config.recommends),
        debconf=list(asked.debconf),
        units=list(asked.units),
        setup=list(asked.setup),
    )


def _program_probes(ctx: PlanContext, wish: Wish, program: Program) -> Iterator[Probe]:
    setting = f"[{wish.section}] {wish.name}"
    if program.commands:
        script = ctx.renderer.sh("linux/probes/commands.sh.j2", commands=program.commands)
    else:
        script = _packages_probe(ctx, program.packages)
    yield Probe(f"program-{program.name}", setting, script, expected="installed")
    for unit in program.units:
        yield _unit_probe(ctx, setting, unit, program)


def _unit_probe(ctx: PlanContext, setting: str, unit: str, program: Program) -> Probe:
    state = "is-active" if program.runs else "is-enabled"
    script = ctx.renderer.sh("linux/probes/unit.sh.j2", state=state, unit=unit)
    expected = "active" if program.runs else "enabled"
    return Probe(f"unit-{unit}", setting, script, expected=expected, retry=SERVICE_START if program.runs else 0.0)


def _package_probe(ctx: PlanContext, name: str) -> Probe:
    return Probe(f"package-{name}", "[config] packages", _packages_probe(ctx, [name]), expected="installed")


def _packages_probe(ctx: PlanContext, packages: Iterable[str]) -> str:
    return ctx.renderer.sh(f"{ctx.family.templates}/probes/packages.sh.j2", packages=list(packages))


def _sorted(items: Iterable[str]) -> list[str]:
    return sorted(set(items))
