"""The recipe's own package repositories, each by the family's writer; they stay configured in the image."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.regular import read_regular
from vmgen_build.installers import Source
from vmgen_build.limits import KEY_FILE
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step
from vmgen_build.plan.writers import REPOSITORIES, Output, write
from vmgen_build.recipe.sections.config import Repository

ORDER = 100


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    repositories = ctx.recipe.config.repos.values()
    found = [(repository, _output(ctx, repository)) for repository in repositories]
    outputs = [output for _, output in found if isinstance(output, Output)]
    for repository, left in found:
        if isinstance(left, LeftOut):
            yield left._replace(what=f"repository {repository.name}")
    if outputs:
        yield Step(
            name="repositories",
            title="package repositories",
            script=ctx.renderer.sh("linux/repositories.sh.j2", repositories=[one.script for one in outputs]),
            files=tuple(file for one in outputs for file in one.files),
            inputs={r.name: ctx.facts.repositories[r.name] for r in repositories if r.name in ctx.facts.repositories},
            probes=tuple(probe for one in outputs for probe in one.probes),
        )


def _output(ctx: PlanContext, repository: Repository) -> Output | LeftOut:
    """What the writer cannot carry is a problem at the repository's own line."""
    section = f"[config.repos.{repository.name}]"
    key = None
    if repository.key is not None:
        with reading(repository.key, repository.at("key"), f"{section} key"):
            key = read_regular(repository.key, KEY_FILE)
    source = Source(
        name=repository.name,
        url=repository.url or "",
        suite=repository.suite or "",
        components=repository.components,
        line=repository.line or "",
        key=key,
    )
    option = "line" if repository.line else "url"
    try:
        return write(REPOSITORIES, source, ctx)
    except ValueError as error:
        problem = Problem(repository.at(option), f"{section} {option}", str(error))
        raise RecipeError([problem]) from error
