"""vmgen-build check: is a recipe right?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common
from vmgen_build.errors import Problem, RecipeError, UsageError

if TYPE_CHECKING:
    from vmgen_build.recipe.recipe import Recipe


@click.command("check", context_settings=common.CONTEXT, short_help="Find a recipe's mistakes.")
@click.argument("recipes", nargs=-1, required=True, type=common.recipe_path, metavar="RECIPE...")
@common.backend_option
@common.sets_option
@common.strict_option
@common.templates_option
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON, one object a line.")
@click.option("--sarif", "as_sarif", is_flag=True, help="Print the problems of all recipes as one SARIF 2.1.0 log.")
@click.option("-q", "--quiet", is_flag=True, help="Show mistakes only, no warnings.")
def check_command(recipes: tuple[Path, ...], as_json: bool, as_sarif: bool, quiet: bool, **values: Any) -> None:
    """Find all mistakes of every RECIPE, each on its own line. Needs no root, asks no network and changes nothing.

    Exit code 0 where all are right (warnings allowed), else 2. For editors and CI: --json, --sarif; in GitHub Actions
    each problem is an annotation as well. The codes of problems: docs/messages.md.

    \b
      vmgen-build check lab.ini
      vmgen-build check recipes/*.ini --strict
      vmgen-build check --sarif recipes/*.ini > recipes.sarif
    \f
    values: the options that are named as the fields of _Wanted are.
    """
    if as_json and as_sarif:
        raise UsageError("--json and --sarif: both are what is printed; leave one of them out")
    wanted = _Wanted(**values)
    wrong = False
    every: list[Problem] = []
    for path in recipes:
        problems, summary = _check(path, wanted)
        wrong = wrong or not summary
        every += (shown := [p for p in problems if p.severity == "error" or not quiet])
        if as_json:
            _show_json(shown)
        elif not as_sarif:
            common.show_problems(shown)
            if summary and not quiet:
                common.show(f"{path}: {summary}")
    if as_sarif:
        _show_sarif(every)
    click.get_current_context().exit(2 if wrong else 0)


def _show_json(found: Sequence[Problem]) -> None:
    from vmgen_build.cli.problems import as_dict

    for problem in found:
        common.show(json.dumps(as_dict(problem)))


def _show_sarif(found: Sequence[Problem]) -> None:
    from vmgen_build.cli import sarif

    for line in json.dumps(sarif.log(found), indent=2).split("\n"):
        common.show(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """How recipes are read, and the backends that they are checked for."""

    backends: tuple[str, ...]
    sets: tuple[str, ...]
    strict: bool
    templates: Path | None


def _check(path: Path, wanted: _Wanted) -> tuple[tuple[Problem, ...], str]:
    """The problems, and what the recipe is about; "" where it is wrong."""
    problems, recipe = _problems(path, wanted)
    if recipe is None:
        return problems, ""
    plural = "s" if len(problems) > 1 else ""
    count = f", {len(problems)} warning{plural}" if problems else ""
    return problems, f"ok: '{recipe.name}' on {recipe.hardware.os.name}-{recipe.hardware.os.arch}{count}"


def problems_of(path: Path, text: str) -> tuple[Problem, ...]:
    """What `check --strict` would find for lxc where the recipe's file held this text."""
    problems, _ = _problems(path, _Wanted(backends=("lxc",), sets=(), strict=True, templates=None), text)
    return problems


def _problems(path: Path, wanted: _Wanted, text: str | None = None) -> tuple[tuple[Problem, ...], Recipe | None]:
    """And the recipe, None where it is wrong. text: what stands in for the file's own."""
    from vmgen_build.host.bounds import bounded
    from vmgen_build.limits import CHECK_MEMORY, CHECK_TIME
    from vmgen_build.recipe.load import load

    warnings: tuple[Problem, ...] = ()
    try:
        with bounded(str(path), CHECK_TIME, CHECK_MEMORY):
            recipe = load(path, wanted.sets, wanted.strict, text=text)
            warnings = recipe.warnings
            _plan(recipe, wanted)
    except RecipeError as error:
        return (*error.problems, *warnings, *error.warnings), None
    return warnings, recipe


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
