"""The keyboard in /etc/sysconfig/keyboard, and as later systems have it."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers import vconsole_conf
from vmgen_build.plan.writers.model import Output


def write(wanted: str, ctx: PlanContext) -> Output:
    layout, _, variant = wanted.partition(":")
    script = ctx.renderer.fragment("linux/redhat/sysconfig_keyboard.sh.j2", layout=layout, variant=variant)
    return replace(vconsole_conf.write(wanted, ctx), script=script)
