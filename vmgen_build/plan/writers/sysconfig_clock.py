"""The time zone in /etc/sysconfig/clock and /etc/localtime."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers import localtime_link
from vmgen_build.plan.writers.model import Output


def write(wanted: str, ctx: PlanContext) -> Output:
    script = ctx.renderer.fragment("linux/redhat/sysconfig_clock.sh.j2", zone=wanted)
    return replace(localtime_link.write(wanted, ctx), script=script)
