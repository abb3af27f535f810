"""The time zone in /etc/zone.conf beside the link /etc/localtime."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.writers import Output


def write(wanted: str, ctx: PlanContext) -> Output:
    script = ctx.renderer.sh("madeup/zone_probe.sh.j2", zone=wanted)
    return Output(
        script=ctx.renderer.fragment("madeup/zone.sh.j2", zone=wanted),
        packages=("tzdata",),
        probes=(Probe("timezone", "[config] timezone", script, wanted),),
    )
