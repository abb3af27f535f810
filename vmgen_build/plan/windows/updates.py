"""Updates that the build itself puts in: before the programs, which may need them."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.batch import WindowsWork, refused, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Step

ORDER = 150

ROUNDS = 3
"""How often updates are looked for: some come after a restart alone."""

TIMEOUT = 3 * 3600.0
"""Seconds that a round may take."""


def steps(ctx: PlanContext) -> Iterator[Step]:
    """Each may ask for a restart, and the next one looks again. Raises RecipeError where there are none any more."""
    config = ctx.recipe.config
    if config.updates != "now":
        return
    if ctx.system.nt < (6, 1):
        text = f"{ctx.system.title} gets no updates any more; write updates = off"
        raise refused(config.at("updates"), "[config] updates", text)
    for number in range(1, ROUNDS + 1):
        work = WindowsWork(
            name=f"updates-{number}",
            title=f"updates, round {number}",
            template="updates",
            values={},
            network=True,
            installs=True,
            timeout=TIMEOUT,
        )
        yield step_of(ctx, work)
