"""The locale in /etc/locale.conf: locale.conf(5)."""

from __future__ import annotations

import re

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.locales import BUILT_IN, locale_probes
from vmgen_build.plan.writers.model import Locale, Output, own_packages


def write(wanted: Locale, ctx: PlanContext) -> Output:
    language = re.split(r"[_.@]", wanted.name)[0]
    packages = () if wanted.name in BUILT_IN else own_packages(ctx, "locale_conf", language)
    return Output(
        script=ctx.renderer.fragment("linux/locale_conf.sh.j2", locale=wanted.name, asked=wanted.asked),
        packages=packages,
        probes=locale_probes(wanted, ctx),
    )
