"""The locale by Debian's locale-gen(8) and /etc/default/locale."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.writers.model import Locale, Output

BUILT_IN = ("C", "POSIX", "C.UTF-8")
"""Locales that the C library has of its own."""


def write(wanted: Locale, ctx: PlanContext) -> Output:
    made = wanted.name not in BUILT_IN
    script = ctx.renderer.sh("linux/debian/probes/locale.sh.j2", locale=wanted.name)
    return Output(
        script=ctx.renderer.fragment("linux/debian/locale_gen.sh.j2", locale=wanted.name, generate=made),
        packages=("locales",) if made else (),
        probes=(Probe("locale", "[config] locale", script, wanted.name),) if wanted.asked else (),
    )
