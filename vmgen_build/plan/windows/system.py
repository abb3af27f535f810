"""The computer's name, time zone, language and keyboard. The name counts after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from vmgen_build.catalogue import windows as known
from vmgen_build.plan.batch import WindowsWork, by_powershell, refused, step_of, template_names
from vmgen_build.plan.computername import computer_name
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.plan.text.inf import INF
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML

ORDER = 300

Found = TypeVar("Found")


@dataclass(frozen=True)
class _Region:
    """As the templates take it: "" for what the recipe leaves open. tag "ro-RO"; lcid "0418"; input "0418:00020418"."""

    tag: str
    lcid: str
    group: int
    input: str


def steps(ctx: PlanContext) -> Iterator[Step]:
    config = ctx.recipe.config
    zone = _known(ctx, "timezone", config.timezone, known.time_zone)
    region = _region(ctx)
    name = computer_name(ctx.recipe)
    values: dict[str, object] = {"name": name, "zone": zone or ""}
    yield step_of(ctx, WindowsWork(name="system", title="computer name and time zone", values=values, reboot=True))
    if region is not None:
        values, files = {"region": region}, _files(ctx, region)
        yield step_of(ctx, WindowsWork(name="region", title="language and keyboard", values=values, files=files))


def _files(ctx: PlanContext, region: _Region) -> tuple[StepFile, ...]:
    """The settings as the Control Panel reads them, where a step of batch has it read a file."""
    if by_powershell(ctx, "region"):
        return ()
    old = ctx.system.nt < (6, 0)
    name, dialect = ("region.txt", INF) if old else ("region.xml", XML)
    text = Renderer(ctx.renderer.override, dialect).render(template_names(ctx.system, f"{name}.j2"), region=region)
    return (StepFile.of(name, text),)


def _region(ctx: PlanContext) -> _Region | None:
    config, nt = ctx.recipe.config, ctx.system.nt
    language = _known(ctx, "locale", config.locale, lambda name: known.language(name, nt))
    layout = _known(ctx, "keyboard", config.keyboard, lambda name: known.keyboard(name, nt))
    if language is None and layout is None:
        return None
    if language is None:
        return _Region("", "", 0, layout or "")
    return _Region(language.tag, language.lcid, language.group, layout or "")


def _known(ctx: PlanContext, option: str, value: str | None, find: Callable[[str], Found]) -> Found | None:
    """What Windows calls it. Raises RecipeError at the recipe's line."""
    if not value:
        return None
    try:
        return find(value)
    except ValueError as error:
        raise refused(ctx.recipe.config.at(option), f"[config] {option}", str(error)) from error
