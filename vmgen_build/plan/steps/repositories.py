"""The recipe's own package repositories, each by the family's writer; they stay configured in the image."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.regular import read_regular
from vmgen_build.installers import Source
from vmgen_build.limits import KEY_FILE, REPOSITORY_FILE
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step
from vmgen_build.plan.writers import REPOSITORIES, Output, write
from vmgen_build.recipe.openpgp import armoured, only
from vmgen_build.recipe.sections.config import Repository

ORDER = 100


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    repositories = (*ctx.recipe.config.repos.values(), *ctx.facts.vendors.values())
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
    key = ctx.facts.repository_keys.get(repository.name)
    if key is None and repository.key is not None:
        with reading(repository.key, repository.at("key"), f"{section} key"):
            key = read_regular(repository.key, KEY_FILE)
            if repository.fingerprint:
                key = armoured(b"".join(only(key, one) for one in repository.fingerprint))
    text = ""
    if repository.file is not None:
        with reading(repository.file, repository.at("file"), f"{section} file"):
            text = read_regular(repository.file, REPOSITORY_FILE).decode(errors="surrogateescape")
    source = Source(
        name=repository.name,
        url=repository.url or "",
        suite=repository.suite or "",
        components=repository.components,
        line=repository.line or "",
        text=text,
        key=key,
        priority=repository.priority,
    )
    option = next(name for name in ("line", "file", "url") if getattr(repository, name) or name == "url")
    try:
        return write(REPOSITORIES, source, ctx)
    except ValueError as error:
        problem = Problem(repository.at(option), f"{section} {option}", str(error), code="value")
        raise RecipeError([problem]) from error
