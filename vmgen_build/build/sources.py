"""What steps are to download: fetched to this host before they run, so that their guests need no network for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmgen_build.bases.sources import Wanted, fetch_source, source_path
from vmgen_build.build.job import Build
from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import BuildError, Problem
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.recipe.recipe import Recipe


@contextmanager
def with_sources(build: Build) -> Iterator[Build]:
    """The same build, with what the steps that will run are to download in the cache, and kept there meanwhile.

    Raises BuildError at the recipe's line, HostError.
    """
    steps = build.plan.steps
    if not any(file.urls for step in steps for file in step.files):
        yield build
        return
    with build.options.store().downloads_in_use("sources"):
        for step in _to_run(build):
            for file in step.files:
                if file.urls:
                    _fetch(build, step, file)
        plan = replace(build.plan, steps=tuple(_filled(build, step) for step in steps))
        yield replace(build, plan=plan)


def _to_run(build: Build) -> tuple[Step, ...]:
    """Those whose layers are not there, as far as that can be known."""
    kept = build.place.kept_stages(build.plan, build.look) if build.options.use_cache else 0
    return tuple(step for step in build.plan.steps[max(0, kept - 1) :] if step.id not in build.fresh)


def _fetch(build: Build, step: Step, file: StepFile) -> None:
    options = build.options
    try:
        fetch_source(
            Wanted(file.urls, file.sha256, step.name), options.store(), build.bus.emit, offline=options.offline
        )
    except BuildError as error:
        raise BuildError(_at_its_line(build.recipe, file, str(error))) from error


def _at_its_line(recipe: Recipe, file: StepFile, text: str) -> str:
    for source in recipe.config.sources.values():
        if source.url == file.urls:
            option = "sha256" if "sha256" in text else "url"
            setting = f"[config.sources.{source.name}] {option}"
            return str(Problem(source.at(option), setting, text, code="file"))
    system = recipe.hardware.os
    for wish in recipe.wishes:
        found = recipe.catalogue.resolve(wish.name, wish.choice, system)
        if not isinstance(found, Program) or found.source is None:
            continue
        built = (found, *recipe.catalogue.built_first(found, system))
        if any(program.source is not None and program.source.urls == file.urls for program in built):
            return str(Problem(wish.where, f"[{wish.section}] {wish.name}", text, code="file"))
    return text


def _filled(build: Build, step: Step) -> Step:
    cache = build.options.cache
    files = tuple(replace(f, source=source_path(cache, f.sha256)) if f.urls else f for f in step.files)
    return replace(step, files=files)
