"""The locale in /etc/sysconfig/i18n, and where systemd reads it. The C library there has all locales of its own."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.locales import locale_probes
from vmgen_build.plan.writers.model import Locale, Output


def write(wanted: Locale, ctx: PlanContext) -> Output:
    script = ctx.renderer.fragment("linux/redhat/sysconfig_i18n.sh.j2", locale=wanted.name, asked=wanted.asked)
    return Output(script, probes=locale_probes(wanted, ctx))
