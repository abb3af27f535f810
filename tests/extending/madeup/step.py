"""Writes the recipe's [greeting] into the image."""

from __future__ import annotations

from collections.abc import Iterator

from madeup.section import Greeting
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step

ORDER = 345


def steps(ctx: PlanContext) -> Iterator[Step]:
    greeting = ctx.recipe.others["greeting"]
    if not isinstance(greeting, Greeting) or greeting.text is None:
        return
    lines = [greeting.text] * greeting.times
    probe = ctx.renderer.sh("madeup/greeting_probe.sh.j2", text=greeting.text)
    yield Step(
        name="greeting",
        title="greeting",
        script=ctx.renderer.sh("madeup/greeting.sh.j2", lines=lines),
        probes=(Probe("greeting", "[greeting] text", probe, greeting.text),),
    )
