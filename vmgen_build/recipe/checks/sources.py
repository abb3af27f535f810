"""Programs that are built from their source: what each needs to be known by, and to be built with."""

from __future__ import annotations

from vmgen_build.catalogue.building import known_needs, packages_for
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, did_you_mean, place, shown
from vmgen_build.recipe.sections.sources import SourceTree
from vmgen_build.systems.model import System


def check(draft: Draft, problems: Problems) -> None:
    sources = draft.config.sources.values()
    for source in sources:
        _archive(source, problems)
        _build(source, problems)
        if draft.system is not None:
            _needs(source, draft.system, problems)
        if not (source.commands or source.check or source.units) and not source.faulty:
            text = "names no commands, units or check, so verify cannot ask whether it is there; give one of them"
            problems.warn(source.where, _path(source), text, "no-probe")
    unique(
        ((u, s.at("units"), _path(s, "units")) for s in sources for u in s.units),
        "the unit",
        problems,
    )


def _path(source: SourceTree, option: str = "") -> str:
    return place(("config", "sources", source.name), option)


def _archive(source: SourceTree, problems: Problems) -> None:
    given = [key for key in ("url", "file") if getattr(source, key) or key in source.faulty]
    if len(given) != 1:
        what = "has both url and file; keep one" if given else "has neither url nor file; give one"
        problems.error(source.where, _path(source), what, "either")
    elif given == ["url"] and source.sha256 is None and "sha256" not in source.faulty:
        text = "is missing: what comes from an address is checked by it; write what sha256sum prints of the archive"
        problems.error(source.at("url"), _path(source, "sha256"), text, "missing")


def _build(source: SourceTree, problems: Problems) -> None:
    if {"build", "script"} & source.faulty:
        return
    if source.script is not None and source.build not in (None, "script"):
        text = f"has a script, and build = {source.build}; keep one of them"
        problems.error(source.at("script"), _path(source), text, "either")
    elif source.script is None and source.build == "script":
        text = "is missing; write the lines that build it"
        problems.error(source.at("build"), _path(source, "script"), text, "missing")
    elif source.script is None and source.build is None and source.url:
        text = "is missing: nothing is downloaded to look; write, for example, build = autotools"
        problems.error(source.where, _path(source, "build"), text, "missing")
    if source.script is not None and source.options:
        text = "are words for a build system, and this has a script; write them into the script"
        problems.error(source.at("options"), _path(source, "options"), text, "value")


def _needs(source: SourceTree, system: System, problems: Problems) -> None:
    for need in source.build_needs:
        if packages_for(need, system):
            continue
        if need in known_needs():
            text = f"{system.name} has no {shown(need)} that is known; name its packages by build_packages"
        else:
            near = did_you_mean(need, known_needs())
            text = f"{shown(need)} is no known tool or library; name its packages by build_packages{near}"
        problems.error(source.at("build_needs"), _path(source, "build_needs"), text, "value")
