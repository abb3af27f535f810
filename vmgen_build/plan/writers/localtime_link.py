"""The time zone as the link /etc/localtime: localtime(5)."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.writers.model import Output, own_packages


def write(wanted: str, ctx: PlanContext) -> Output:
    probe = ctx.renderer.sh("linux/probes/timezone.sh.j2", zone=wanted)
    return Output(
        script=ctx.renderer.fragment("linux/localtime_link.sh.j2", zone=wanted),
        packages=own_packages(ctx, "localtime_link"),
        probes=(Probe("timezone", "[config] timezone", probe, wanted),),
    )
