"""The last step: what belongs to one machine, or to the build, goes; then sysprep makes the next boot the first one."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.answers import generalise_files
from vmgen_build.plan.batch import WindowsWork, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Step
from vmgen_build.plan.setup import answers_of
from vmgen_build.secret import Secret

ORDER = 900


def steps(ctx: PlanContext) -> Iterator[Step]:
    if not ctx.recipe.config.generalise:
        return
    files = generalise_files(answers_of(ctx.recipe), ctx.renderer.override)
    [(name, text)] = files.items()
    yield step_of(
        ctx,
        WindowsWork(
            name="generalise",
            title="clean-up and sysprep",
            values={"answers": name},
            secrets={name: Secret(text.reveal())},
        ),
    )
