"""The computer's name, time zone, language and keyboard. The name counts after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from vmgen_build.catalogue import windows as known
from vmgen_build.plan.batch import WindowsWork, by_powershell, refused, step_of, template_names
from vmgen_build.plan.computername import computer_name
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.text.inf import INF
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML
from vmgen_build.plan.windowsprobe import MACHINE, WindowsQuestion, probe_of

ORDER = 300

NAME = f"{MACHINE}SYSTEM\\CurrentControlSet\\Control\\ComputerName\\ActiveComputerName"
LANGUAGE = f"{MACHINE}SYSTEM\\CurrentControlSet\\Control\\Nls\\Language"

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
    work = WindowsWork(
        name="system",
        title="computer name and time zone",
        values=values,
        reboot=True,
        probes=tuple(_probes(ctx, name, zone or "")),
    )
    yield step_of(ctx, work)
    if region is not None:
        values, files = {"region": region}, _files(ctx, region)
        probes = tuple(_region_probes(ctx, region))
        work = WindowsWork(name="region", title="language and keyboard", values=values, files=files, probes=probes)
        yield step_of(ctx, work)


def _probes(ctx: PlanContext, name: str, zone: str) -> Iterator[Probe]:
    """That of the first boot is the name that counts. The folder of the build's steps is gone."""
    values: dict[str, object] = {"key": NAME, "value": "ComputerName"}
    yield _probe(ctx, "hostname", "[config] hostname", name, "value", values)
    if zone:
        yield _probe(ctx, "timezone", "[config] timezone", zone, "zone", {"zone": zone})
    yield _probe(ctx, "step-folder", "what the build leaves", "gone", "gone", {"path": ctx.family.step_folder})


def _region_probes(ctx: PlanContext, region: _Region) -> Iterator[Probe]:
    if region.lcid:
        yield _probe(ctx, "locale", "[config] locale", region.lcid, "value", {"key": LANGUAGE, "value": "Default"})
    if region.input:
        powershell = by_powershell(ctx, "probes/keyboard")
        expected = region.input if powershell else region.input.partition(":")[2]
        yield _probe(ctx, "keyboard", "[config] keyboard", expected, "keyboard", {})


def _probe(ctx: PlanContext, name: str, setting: str, expected: str, template: str, values: dict[str, object]) -> Probe:
    question = WindowsQuestion(name=name, setting=setting, expected=(expected,), template=template, values=values)
    return probe_of(ctx, question)


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
