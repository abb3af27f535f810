"""Programs built from their source: what they are built with, a step for each program, and the removal of the former.

Each program has a layer of its own, and so have the tools: a change of one builds it, and those after it, again.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vmgen_build.catalogue.building import BUILD_SYSTEMS, UNPACKERS, build_system_of, packages_for
from vmgen_build.catalogue.programs import Program, ProgramSource
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.files import sha256_of
from vmgen_build.installers import Installer
from vmgen_build.limits import SOURCE_TIME, SOURCE_UNPACKED
from vmgen_build.plan.context import LeftOut, PlanContext, manner
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.steps.packages import service_of, unit_probe
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.recipe.sections.sources import SourceTree

ORDER = 210

STATE = "/var/lib/vmgen-sources"
"""Folder of the guest that the steps here share; the last of them removes it. Part of its layers: what lies in the
folder of a build's own on a node is not."""


@dataclass(frozen=True)
class _Work:
    """One program, as the recipe has it, with what its archive and its build system add. setting: the recipe's that
    asks for it. endings: of the archive's names. runs: whether its units are up in a freshly booted container."""

    source: SourceTree
    build: str
    archive: StepFile
    endings: frozenset[str]
    setting: str
    runs: bool = True


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    installer = ctx.installer
    if installer is None:
        reason = f"what it is built with is installed by {ctx.system.installer}, which this version does not drive"
        yield from (LeftOut("config", f"source {name}", reason) for name in ctx.recipe.config.sources)
        return
    works = _works(ctx)
    if not works:
        return
    needed = sorted({package for work in works for package in _needs(ctx, work)})
    wanted = sorted({package for work in works for package in _wanted(ctx, work)})
    if needed or wanted:
        yield _tools(ctx, installer, needed, wanted)
    for work in works:
        yield _program(ctx, installer, work)
    yield _end(ctx, installer, tools=bool(needed or wanted))


def _works(ctx: PlanContext) -> list[_Work]:
    """Programs of the catalogue that the system has no packages of, each after what it wants; then the recipe's own
    sources. One of these stands for the program of its name, and in its place where another one wants it."""
    own = ctx.recipe.config.sources
    found: dict[str, _Work] = {}
    for wish, program in ctx.programs:
        if program.source is None or program.name in own:
            continue
        for each in (*ctx.recipe.catalogue.built_first(program, ctx.system), program):
            if each.source is not None and each.name not in found:
                source = own.get(each.name)
                found[each.name] = _work(source) if source else _of_catalogue(wish, each, each.source)
    return [*found.values(), *(_work(source) for name, source in own.items() if name not in found)]


def _of_catalogue(wish: Wish, program: Program, source: ProgramSource) -> _Work:
    """wish: the line that asks for it, or for what wants it. What a script installs may be others' binaries, which stay
    as they are."""
    tree = SourceTree(
        name=program.name,
        where=wish.where,
        url=source.urls,
        sha256=source.sha256,
        build=source.build,
        options=source.options,
        script=source.script or None,
        build_needs=source.needs,
        packages=source.packages,
        strip=not source.script,
        units=program.units,
        commands=program.commands,
    )
    return replace(_work(tree), setting=f"[{wish.section}] {wish.name}", runs=program.runs)


def _work(source: SourceTree) -> _Work:
    if source.file is None:
        archive = StepFile("archive", source.sha256 or "", urls=source.url)
        names = [unquote(urlsplit(url).path) for url in source.url]
    else:
        archive = _carried("archive", source.file, source, "file")
        names = [source.file.name]
    if source.sha256 is not None and archive.sha256 != source.sha256:
        text = f"'{source.file}' has another: {archive.sha256}; write that one, if it is the file you mean"
        raise _problem(source, "sha256", text)
    endings = frozenset(name.rpartition(".")[2].lower() for name in names)
    return _Work(source, _build(source), archive, endings, f"[config.sources.{source.name}]")


def _carried(name: str, path: Path, source: SourceTree, option: str) -> StepFile:
    with reading(path, source.at(option), f"[config.sources.{source.name}] {option}"):
        return StepFile(name, sha256_of(path), source=path, private=not path.stat().st_mode & stat.S_IROTH)


def _build(source: SourceTree) -> str:
    """As the recipe says, else as the archive shows."""
    if source.script is not None:
        return "script"
    if source.build is not None or source.file is None:
        return source.build or ""
    with reading(source.file, source.at("file"), f"[config.sources.{source.name}] file"):
        from vmgen_build.plan.archives import top_names

        found = build_system_of(top_names(source.file))
    if found is None:
        marks = ", ".join(mark for system in BUILD_SYSTEMS.values() for mark in system.marks)
        text = f"'{source.file.name}' does not show how it is built (none of {marks} at its top); write build or script"
        raise _problem(source, "build", text)
    return found


def _problem(source: SourceTree, option: str, text: str) -> RecipeError:
    setting = f"[config.sources.{source.name}] {option}"
    return RecipeError([Problem(source.at(option), setting, text, code="value")])


def _needs(ctx: PlanContext, work: _Work) -> Iterator[str]:
    """Packages that it is built with."""
    own = BUILD_SYSTEMS[work.build].needs
    patch = ("patch",) if work.source.patches else ()
    unpackers = (UNPACKERS[ending] for ending in work.endings if ending in UNPACKERS)
    yield from _packages(ctx, work, (*own, *patch, *unpackers, *work.source.build_needs))
    yield from work.source.build_packages


def _wanted(ctx: PlanContext, work: _Work) -> Iterator[str]:
    """Packages that it needs to run."""
    yield from _packages(ctx, work, BUILD_SYSTEMS[work.build].runs)
    yield from work.source.packages


def _packages(ctx: PlanContext, work: _Work, needs: Iterable[str]) -> Iterator[str]:
    for need in needs:
        found = packages_for(need, ctx.system)
        if found is None:
            text = f"'{need}', which it is built with, is not known of {ctx.system.name}; build it by a script"
            raise RecipeError([Problem(work.source.at("build"), work.setting, text, code="value")])
        yield from found


def _tools(ctx: PlanContext, installer: Installer, needed: list[str], wanted: list[str]) -> Step:
    """First what stays, with all that comes with it; then what goes again. packages: the former alone are reckoned
    with."""
    how = manner(ctx.recipe)
    return Step(
        name="sources-tools",
        title="what programs are built with",
        script=ctx.renderer.sh(
            "linux/source_tools.sh.j2",
            state=STATE,
            installed=installer.list_installed(),
            wanted=installer.install(wanted, how) if wanted else "",
            needed=installer.install(needed, how) if needed else "",
        ),
        network=True,
        installs=True,
        packages=tuple(wanted),
    )


def _program(ctx: PlanContext, installer: Installer, work: _Work) -> Step:
    source = work.source
    patches = [_carried(f"patch-{n}", path, source, "patches") for n, path in enumerate(source.patches, 1)]
    script = [StepFile.of("build-script", source.script.rstrip("\n") + "\n")] if source.script is not None else []
    return Step(
        name=f"source-{source.name}",
        title=f"{source.name} from its source",
        script=ctx.renderer.sh(
            "linux/source.sh.j2",
            name=source.name,
            state=STATE,
            zip="zip" in work.endings,
            largest=SOURCE_UNPACKED,
            patches=[(file.name, path.name) for file, path in zip(patches, source.patches, strict=True)],
            prefix=source.prefix,
            build=_fragment(ctx, work),
            strip=source.strip,
            owners=installer.owners(),
            units=[] if ctx.system.old else source.units,
            services=[service_of(unit) for unit in source.units] if ctx.system.old else [],
        ),
        files=(work.archive, *patches, *script),
        network=source.network,
        timeout=float(SOURCE_TIME.amount),
        probes=tuple(_probes(ctx, work)),
    )


def _fragment(ctx: PlanContext, work: _Work) -> Trusted:
    template = f"linux/sources/{work.build}.sh.j2"
    return ctx.renderer.fragment(template, options=list(work.source.options), network=work.source.network)


def _probes(ctx: PlanContext, work: _Work) -> Iterator[Probe]:
    source = work.source
    if source.commands or source.check:
        script = ctx.renderer.sh(
            "linux/probes/source.sh.j2",
            path=f"{source.prefix}/sbin:{source.prefix}/bin",
            commands=source.commands,
            check=source.check or "",
        )
        yield Probe(f"source-{source.name}", work.setting, script, expected="installed")
    for unit in source.units:
        yield unit_probe(ctx, f"{work.setting} units", unit, runs=work.runs)


def _end(ctx: PlanContext, installer: Installer, *, tools: bool) -> Step:
    return Step(
        name="sources-end",
        title="removal of what programs were built with",
        script=ctx.renderer.sh(
            "linux/source_end.sh.j2",
            state=STATE,
            installed=installer.list_installed(),
            tools=tools,
            removal=installer.remove_unneeded(),
            wanted=installer.mark_wanted(),
        ),
    )
