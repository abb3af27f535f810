"""Programs of the catalogue, one step per section; then packages by name and what the settings need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.files import sha256_of
from vmgen_build.installers import Installer, installer_for
from vmgen_build.plan.context import LeftOut, PlanContext, manner
from vmgen_build.plan.discovery import needed_packages
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
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
        asked = [(wish, program) for wish, program in ctx.programs if wish.section == section]
        chosen = [(wish, program) for wish, program in asked if program.source is None]
        if chosen:
            yield _section_step(ctx, installer, section, chosen)
    yield from _named_packages(ctx, installer)


def _left_out(ctx: PlanContext) -> Iterator[LeftOut]:
    name, installer = ctx.system.name, ctx.system.installer
    reason = f"packages of {name} are installed with {installer}, which this version does not drive"
    for wish, _ in ctx.programs:
        yield LeftOut(wish.section, wish.choice or wish.name, reason)
    config = ctx.recipe.config
    for package in dict.fromkeys((*config.packages, *needed_packages(ctx), *config.packages_remove)):
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
    config = ctx.recipe.config
    named = [name for name in config.packages if not name.startswith("/")]
    packages = _sorted([*named, *needed_packages(ctx)])
    files = [package_file(ctx, path) for path in config.packages if path.startswith("/")]
    if not (packages or files or config.packages_remove or config.packages_hold):
        return
    catalogue = ctx.recipe.catalogue
    found = [catalogue.resolve(name, None, ctx.system) for name in packages if catalogue.is_known(name)]
    lines = [line for program in found if isinstance(program, Program) for line in program.debconf]
    debconf = _sorted(line for line in lines if line.split()[0] in packages)
    asked = _Asked(packages, debconf, files=files, remove=config.packages_remove, hold=config.packages_hold)
    yield Step(
        name="packages-config",
        title="further packages",
        script=_script(ctx, installer, asked),
        files=tuple(files),
        network=True,
        installs=True,
        packages=tuple(packages),
        probes=(*(_package_probe(ctx, name) for name in named), *_other_probes(ctx, installer, files)),
    )


def package_file(ctx: PlanContext, path: str) -> StepFile:
    """A file that [config] packages names, by reference and digest."""
    with reading(Path(path), ctx.recipe.config.at("packages"), "[config] packages"):
        return StepFile(Path(path).name, sha256_of(Path(path)), source=Path(path))


def _other_probes(ctx: PlanContext, installer: Installer, files: Sequence[StepFile]) -> Iterator[Probe]:
    """Of package files, what is removed and what is held back."""
    config, render = ctx.recipe.config, ctx.renderer.sh
    for file in files:
        if name := named_by(file.name):
            yield _package_probe(ctx, name)
    for name in config.packages_remove:
        script = render("linux/probes/package_removed.sh.j2", check=installer.is_installed([name]))
        yield Probe(f"removed-{name}", "[config] packages_remove", script, expected="not installed")
    for name in config.packages_hold:
        script = render("linux/probes/package_held.sh.j2", check=installer.on_hold([name]))
        yield Probe(f"held-{name}", "[config] packages_hold", script, expected="held")


def named_by(file: str) -> str:
    """The package that a file of its usual name holds; "" where it has another name.

    NAME_VERSION_ARCH.deb (dpkg-name(1)), NAME-VERSION-RELEASE.ARCH.rpm, NAME-VERSION-RELEASE-ARCH.pkg.tar.zst.
    """
    for form in (r"(.+?)_[^_]+_[^_]+\.deb", r"(.+)-[^-]+-[^-]+\.[^.-]+\.rpm", r"(.+)-[^-]+-[^-]+-[^-]+\.pkg\.tar\.\w+"):
        if match := re.fullmatch(form, file):
            return match[1]
    return ""


@dataclass(frozen=True)
class _Asked:
    """What a step installs. debconf: answers to questions; setup: the catalogue's own lines; units: to run at boot.
    files: packages that the step carries; remove: what goes then; hold: what no upgrade changes."""

    packages: Sequence[str]
    debconf: Sequence[str] = ()
    units: Sequence[str] = ()
    setup: Sequence[str] = ()
    files: Sequence[StepFile] = ()
    remove: Sequence[str] = ()
    hold: Sequence[str] = ()


def _script(ctx: PlanContext, installer: Installer, asked: _Asked) -> str:
    try:
        install = "\n".join(_installing(ctx, installer, asked))
    except ValueError as error:
        where = ctx.recipe.config.at("packages")
        raise RecipeError([Problem(where, "[config] packages", str(error), code="value")]) from error
    old = ctx.system.old
    return ctx.renderer.sh(
        "linux/packages.sh.j2",
        install=install,
        debconf=list(asked.debconf),
        units=[] if old else list(asked.units),
        services=[service_of(unit) for unit in asked.units] if old else [],
        setup=list(asked.setup),
    )


def service_of(unit: str) -> str:
    """The name that chkconfig(8) and service(8) have for a unit."""
    return unit.removesuffix(".service")


def _installing(ctx: PlanContext, installer: Installer, asked: _Asked) -> Iterator[str]:
    how = manner(ctx.recipe)
    if asked.packages:
        yield installer.install(asked.packages, how)
    if asked.files:
        yield installer.install_files([f"{ctx.family.step_folder}/files/{file.name}" for file in asked.files], how)
    if asked.remove:
        yield installer.remove(asked.remove)
    if asked.hold:
        yield installer.hold(asked.hold)


def _program_probes(ctx: PlanContext, wish: Wish, program: Program) -> Iterator[Probe]:
    setting = f"[{wish.section}] {wish.name}"
    if program.commands:
        script = ctx.renderer.sh("linux/probes/commands.sh.j2", commands=program.commands)
    else:
        script = _packages_probe(ctx, program.packages)
    yield Probe(f"program-{program.name}", setting, script, expected="installed")
    for unit in program.units:
        yield unit_probe(ctx, setting, unit, runs=program.runs)


def unit_probe(ctx: PlanContext, setting: str, unit: str, *, runs: bool) -> Probe:
    """runs: whether it is up in a freshly booted container; else it must be enabled."""
    if ctx.system.old:
        script = ctx.renderer.sh("linux/probes/service.sh.j2", runs=runs, service=service_of(unit))
    else:
        script = ctx.renderer.sh("linux/probes/unit.sh.j2", state="is-active" if runs else "is-enabled", unit=unit)
    expected = "active" if runs else "enabled"
    return Probe(f"unit-{unit}", setting, script, expected=expected, retry=SERVICE_START if runs else 0.0)


def _package_probe(ctx: PlanContext, name: str) -> Probe:
    return Probe(f"package-{name}", "[config] packages", _packages_probe(ctx, [name]), expected="installed")


def _packages_probe(ctx: PlanContext, packages: Iterable[str]) -> str:
    check = installer_for(ctx.system).is_installed(list(packages))
    return ctx.renderer.sh("linux/probes/packages.sh.j2", check=check)


def _sorted(items: Iterable[str]) -> list[str]:
    return sorted(set(items))
