"""What the writers of locales share."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.writers.model import Locale

BUILT_IN = ("C", "POSIX", "C.UTF-8")
"""Locales that the C library has of its own."""


def locale_probes(wanted: Locale, ctx: PlanContext) -> tuple[Probe, ...]:
    """Nothing is asked of a locale that the recipe does not name."""
    script = ctx.renderer.sh("linux/probes/locale.sh.j2", locale=wanted.name)
    return (Probe("locale", "[config] locale", script, wanted.name),) if wanted.asked else ()
