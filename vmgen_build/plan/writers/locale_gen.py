"""The locale by Debian's locale-gen(8) and /etc/default/locale."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.locales import BUILT_IN, locale_probes
from vmgen_build.plan.writers.model import Locale, Output


def write(wanted: Locale, ctx: PlanContext) -> Output:
    made = wanted.name not in BUILT_IN
    return Output(
        script=ctx.renderer.fragment("linux/debian/locale_gen.sh.j2", locale=wanted.name, generate=made),
        packages=("locales",) if made else (),
        probes=locale_probes(wanted, ctx),
    )
