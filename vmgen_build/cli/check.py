"""vmgen-build check: is a recipe right?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common
from vmgen_build.errors import Problem, RecipeError

if TYPE_CHECKING:
    from vmgen_build.recipe.recipe import Recipe


@click.command("check", context_settings=common.CONTEXT, short_help="Find a recipe's mistakes.")
@click.argument("recipes", nargs=-1, required=True, type=common.recipe_path, metavar="RECIPE...")
@common.backend_option
@common.sets_option
@common.strict_option
@common.templates_option
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON, one object a line.")
@click.option("-q", "--quiet", is_flag=True, help="Show mistakes only, no warnings.")
def check_command(recipes: tuple[Path, ...], as_json: bool, quiet: bool, **values: Any) -> None:
    """Find all mistakes of every RECIPE, each at its line. Needs no root, asks no network and changes nothing.

    Exit code 0 where all are right (warnings allowed), else 2.
    \f
    values: the options that are named as the fields of _Wanted are.
    """
    wanted = _Wanted(**values)
    wrong = False
    for path in recipes:
        problems, summary = _check(path, wanted)
        wrong = wrong or not summary
        shown = [p for p in problems if p.severity == "error" or not quiet]
        if as_json:
            for problem in shown:
                common.show(json.dumps(_as_dict(problem)))
        else:
            common.show_problems(shown)
        if summary and not (as_json or quiet):
            common.show(f"{path}: {summary}")
    click.get_current_context().exit(2 if wrong else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """How recipes are read, and the backends that they are checked for."""

    backends: tuple[str, ...]
    sets: tuple[str, ...]
    strict: bool
    templates: Path | None


def _check(path: Path, wanted: _Wanted) -> tuple[tuple[Problem, ...], str]:
    """The problems, and what the recipe is about; "" where it is wrong."""
    from vmgen_build.host.bounds import bounded
    from vmgen_build.limits import CHECK_MEMORY, CHECK_TIME
    from vmgen_build.recipe.load import load

    warnings: tuple[Problem, ...] = ()
    try:
        with bounded(str(path), CHECK_TIME, CHECK_MEMORY):
            recipe = load(path, wanted.sets, wanted.strict)
            warnings = recipe.warnings
            _plan(recipe, wanted)
    except RecipeError as error:
        return (*error.problems, *warnings, *error.warnings), ""
    plural = "s" if len(warnings) > 1 else ""
    count = f", {len(warnings)} warning{plural}" if warnings else ""
    return warnings, f"ok: '{recipe.name}' on {recipe.hardware.os.name}-{recipe.hardware.os.arch}{count}"


def _plan(recipe: Recipe, wanted: _Wanted) -> None:
    """Render all that a build would run: a step may refuse what the recipe's own types allow."""
    system = recipe.hardware.os
    if not system.base and system.needs is None:
        return
    from vmgen_build.backends.registry import backend_named
    from vmgen_build.plan.planner import make_plan

    templates = wanted.templates
    backends: Sequence[str] = wanted.backends
    if system.needs is not None:
        backends = [name for name in backends if backend_named(name).whole_machines] or ["vmware"]
    for backend in backends:
        make_plan(recipe, backend, backend_named(backend).part(recipe, templates), templates=templates)


def _as_dict(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.where.file,
        "line": problem.where.line,
        "path": problem.path,
        "severity": problem.severity,
        "code": problem.code,
        "text": problem.text,
    }
