"""A repository of the recipe's own, as the system's installer writes it down."""

from __future__ import annotations

from vmgen_build.installers import Source, installer_for
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.model import Output


def write(wanted: Source, ctx: PlanContext) -> Output:
    placement = installer_for(ctx.system).repository(wanted, ctx.system)
    placed = [(file.path, StepFile.of(file.path.rpartition("/")[2], file.content)) for file in placement.files]
    places = [(file.name, path) for path, file in placed]
    return Output(
        script=ctx.renderer.fragment("linux/placed.sh.j2", placed=places, setup=placement.setup),
        files=tuple(file for _, file in placed),
        probes=tuple(_probe(ctx, wanted.name, path, file) for path, file in placed),
    )


def _probe(ctx: PlanContext, repository: str, path: str, file: StepFile) -> Probe:
    script = ctx.renderer.sh("linux/probes/sha256.sh.j2", path=path, sha256=file.sha256)
    return Probe(f"repository-{file.name}", f"[config.repos.{repository}]", script, expected="as written")
