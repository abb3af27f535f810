"""The recipe's own package repositories; they stay configured in the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.installers import GuestFile, Source, installer_for
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.recipe.sections.config import Repository

ORDER = 100


@dataclass(frozen=True)
class _Placed:
    """A file of a repository: the section that brings it, its path in the guest, and the step's file that holds it."""

    section: str
    dest: str
    file: StepFile


def steps(ctx: PlanContext) -> Iterator[Step]:
    repositories = ctx.recipe.config.repos.values()
    if not repositories:
        return
    placed = [one for repository in repositories for one in _files(ctx, repository)]
    yield Step(
        name="repositories",
        title="package repositories",
        script=ctx.renderer.sh("linux/repositories.sh.j2", placed=[(one.file.name, one.dest) for one in placed]),
        files=tuple(one.file for one in placed),
        inputs={r.name: ctx.facts.repositories[r.name] for r in repositories if r.name in ctx.facts.repositories},
        probes=tuple(_probe(ctx, one) for one in placed),
    )


def _files(ctx: PlanContext, repository: Repository) -> Iterator[_Placed]:
    for file in _guest_files(ctx, repository):
        carried = StepFile.of(file.path.rpartition("/")[2], file.content)
        yield _Placed(repository.name, file.path, carried)


def _guest_files(ctx: PlanContext, repository: Repository) -> tuple[GuestFile, ...]:
    section = f"[config.repos.{repository.name}]"
    key = None
    if repository.key is not None:
        with reading(repository.key, repository.at("key"), f"{section} key"):
            key = repository.key.read_bytes()
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
        return installer_for(ctx.system).repository(source, ctx.system)
    except ValueError as error:
        problem = Problem(repository.at(option), f"{section} {option}", str(error))
        raise RecipeError([problem]) from error


def _probe(ctx: PlanContext, one: _Placed) -> Probe:
    script = ctx.renderer.sh("linux/probes/sha256.sh.j2", path=one.dest, sha256=one.file.sha256)
    return Probe(f"repository-{one.file.name}", f"[config.repos.{one.section}]", script, expected="as written")
