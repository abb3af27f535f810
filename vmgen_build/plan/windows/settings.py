"""Remote desktop, and how Windows updates itself."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.batch import WindowsWork, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Step

ORDER = 335


def steps(ctx: PlanContext) -> Iterator[Step]:
    config = ctx.recipe.config
    if config.remote_desktop or config.updates == "off":
        values = {"remote_desktop": config.remote_desktop, "updates": config.updates}
        yield step_of(ctx, WindowsWork(name="settings", title="remote desktop, updates", values=values))
