"""The time zone in Debian's /etc/timezone beside the link /etc/localtime."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.writers.model import Output


def write(wanted: str, ctx: PlanContext) -> Output:
    script = ctx.renderer.sh("linux/probes/timezone.sh.j2", zone=wanted)
    return Output(
        script=ctx.renderer.fragment("linux/debian/etc_timezone.sh.j2", zone=wanted),
        packages=("tzdata",),
        probes=(Probe("timezone", "[config] timezone", script, wanted),),
    )
