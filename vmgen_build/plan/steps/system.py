"""Host name, time zone, locale and keyboard, each by the family's writer, in one step."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import LeftOut, PlanContext, full_host_name, host_name
from vmgen_build.plan.model import Step
from vmgen_build.plan.writers import (
    HOSTNAME,
    KEYBOARD,
    LOCALE,
    MAIL_NAME,
    TIMEZONE,
    HostName,
    Locale,
    Output,
    write,
)

ORDER = 300

DEFAULT_LOCALE = "C.UTF-8"


def needs(ctx: PlanContext) -> Iterator[str]:
    for output in _outputs(ctx):
        if isinstance(output, Output):
            yield from output.packages


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    found = list(_outputs(ctx))
    outputs = [one for one in found if isinstance(one, Output)]
    yield from (one for one in found if isinstance(one, LeftOut))
    if outputs:
        yield Step(
            name="system",
            title="host name, time, language",
            script=ctx.renderer.sh("linux/system.sh.j2", settings=[one.script for one in outputs]),
            files=tuple(file for one in outputs for file in one.files),
            probes=tuple(probe for one in outputs for probe in one.probes),
        )


def _outputs(ctx: PlanContext) -> Iterator[Output | LeftOut]:
    """What is set whether the recipe names it or not goes unmentioned where there is no writer for it."""
    config = ctx.recipe.config
    name = HostName(full_host_name(ctx.recipe), host_name(ctx.recipe))
    yield write(HOSTNAME, name, ctx)
    if config.timezone:
        yield write(TIMEZONE, config.timezone, ctx)
    locale = write(LOCALE, Locale(config.locale or DEFAULT_LOCALE, asked=bool(config.locale)), ctx)
    if config.locale or isinstance(locale, Output):
        yield locale
    if config.keyboard:
        yield write(KEYBOARD, config.keyboard, ctx)
    if MAIL_NAME.key in ctx.system.writers:
        yield write(MAIL_NAME, name, ctx)
