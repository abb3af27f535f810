"""The locale by locale-gen(8) from /etc/locale.gen, and in /etc/locale.conf: locale.conf(5)."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.locales import BUILT_IN, locale_probes
from vmgen_build.plan.writers.model import Locale, Output


def write(wanted: Locale, ctx: PlanContext) -> Output:
    make = wanted.name not in BUILT_IN
    script = ctx.renderer.fragment("linux/arch/arch_locale.sh.j2", locale=wanted.name, make=make, asked=wanted.asked)
    return Output(script, probes=locale_probes(wanted, ctx))
