"""The name that Debian's mail servers take from /etc/mailname, and the one that Postfix gives itself: postconf(5)."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.model import HostName, Output


def write(wanted: HostName, ctx: PlanContext) -> Output:
    return Output(ctx.renderer.fragment("linux/debian/etc_mailname.sh.j2", full_name=wanted.full))
