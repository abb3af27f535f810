"""vmgen-build build: recipes become images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.errors import Problem, RecipeError, UsageError
from vmgen_build.text import clean, duration, size, table

if TYPE_CHECKING:
    from vmgen_build.build.options import BuildOptions, BuildResult
    from vmgen_build.cli.plain import Plain
    from vmgen_build.events import Bus
    from vmgen_build.recipe.recipe import Recipe


BOTH = "all"


class _BuildCommand(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A bare --sbom means all formats: what follows is a recipe, unless it is the name of a format."""
        return super().parse_args(ctx, list(_with_formats(args)))


def _with_formats(args: list[str]) -> Iterator[str]:
    waiting = iter([*zip(args, [*args[1:], ""], strict=False)])
    for word, following in waiting:
        if word != "--sbom":
            yield word
        elif following in ("cyclonedx", "spdx", BOTH):
            next(waiting)
            yield f"--sbom={following}"
        else:
            yield f"--sbom={BOTH}"


def _parse_sbom(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Each format once."""
    named = ("cyclonedx", "spdx") if BOTH in values else values
    return tuple(sorted(set(named)))


@click.command(
    "build",
    cls=_BuildCommand,
    context_settings=common.CONTEXT,
    short_help="Build images from recipes; a bare RECIPE means this.",
)
@click.argument("recipes", nargs=-1, required=True, type=common.recipe_path, metavar="RECIPE...")
@common.backend_option
@common.output_option
@common.sets_option
@common.strict_option
@click.option("--dry-run", is_flag=True, help="Print each step and whether its result is in the cache; build nothing.")
@click.option("--watch", is_flag=True, help="Build again whenever a file changes that the recipes are made of.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Build N recipes at a time.",
)
@click.option(
    "--no-cache",
    "use_cache",
    flag_value=False,
    default=True,
    help="Run every step anew; its result is kept all the same.",
)
@click.option(
    "--compression",
    default="zstd",
    show_default=True,
    metavar="METHOD[:LEVEL]",
    callback=common.check_compression,
    help="zstd (1-19), gzip (1-9), xz (0-9) or none.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="What to pack it as; may be repeated. 'vmgen-build formats' lists them. By default each backend's first.",
)
@click.option(
    "--on-error",
    type=click.Choice(["clean", "keep", "shell"]),
    default="clean",
    show_default=True,
    help="After a failed step: remove the container, keep it and say how to enter it, or open a shell in it.",
)
@click.option(
    "--sign",
    multiple=True,
    metavar="KEY",
    help="Sign each manifest and SHA256SUMS: by a key of gpg (SHA256SUMS.asc), ssh:FILE (.sig) or minisign:FILE"
    " (.minisig); may be repeated.",
)
@click.option(
    "--sbom",
    multiple=True,
    type=click.Choice(["cyclonedx", "spdx", "all"]),
    callback=_parse_sbom,
    metavar="[FORMAT]",
    help="Write what the image holds beside it, packages with their licences and sources: as cyclonedx (.cdx.json), as"
    " spdx (.spdx.json), or both.",
)
@click.option(
    "--provenance",
    is_flag=True,
    help="Write how the image was made beside it (.provenance.json): an in-toto statement of SLSA.",
)
@common.offline_option
@hosts.host_options
@hosts.placement_options
@hosts.keep_as_option
@hosts.build_address_option
@common.cache_option
@common.templates_option
@common.image_server_option
@common.ostemplate_options
@common.display_options
def build_command(
    recipes: tuple[Path, ...], dry_run: bool, as_json: bool, quiet: bool, verbose: bool, **values: Any
) -> None:
    """Build one image, or one for each backend, from every RECIPE.

    All recipes are checked before anything is built. Where one fails to build, the others are built nevertheless. With
    --jobs, several are built at a time; a step that they share is run once.

    \b
      vmgen-build build lab.ini
      vmgen-build build lab.ini -b vmware -b kvm -o out
      vmgen-build build desks/*.ini -j 4 --json
    \f
    values: jobs, watch, and the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.build.options import BuildOptions

    jobs, watched = int(values.pop("jobs")), bool(values.pop("watch"))
    options = BuildOptions(**values, shared_cache=common.shared_cache())
    if watched and (dry_run or jobs > 1 or options.on_error == "shell"):
        raise UsageError("--watch builds, one recipe after the other: leave out --dry-run, --jobs and --on-error shell")
    screen, bus = common.open_display(as_json=as_json, quiet=quiet, verbose=verbose)
    with screen:
        for path in recipes:
            _suggest_command(path)
        call = _Call(recipes, options, jobs, _Display(screen, bus, quiet, as_json), dry_run)
        if watched:
            from vmgen_build.cli.watch import watch

            call.require_root()
            click.get_current_context().exit(watch(call.made, (options.cache, options.output), bus))
        click.get_current_context().exit(call.made())


def _load_all(paths: tuple[Path, ...], options: BuildOptions) -> list[Recipe]:
    """Raises RecipeError with all mistakes of all recipes, UsageError where two would make the same files."""
    from vmgen_build.recipe.load import load

    if options.keep_as and len(paths) > 1:
        raise UsageError(f"--keep-as {options.keep_as}: one name for {len(paths)} machines; build one recipe at a time")
    recipes: dict[str, Recipe] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for path in paths:
        try:
            recipe = load(path, options.sets, options.strict)
        except RecipeError as error:
            problems += error.problems
            warnings += error.warnings
            continue
        if recipe.name in recipes:
            raise UsageError(
                f"{recipes[recipe.name].path} and {path} both make '{recipe.name}': one would replace the other;"
                " give them different [hardware] vm_id, or build them into different folders"
            )
        recipes[recipe.name] = recipe
    if problems:
        raise RecipeError(problems, warnings)
    return list(recipes.values())


def _suggest_command(path: Path) -> None:
    from difflib import get_close_matches

    from vmgen_build.cli.main import COMMANDS

    near = get_close_matches(str(path), COMMANDS, n=1)
    if near and not path.exists():
        raise UsageError(f"'{path}' is neither a recipe nor a command; did you mean '{near[0]}'?")


def _dry_run(recipes: list[Recipe], options: BuildOptions, bus: Bus, *, as_json: bool) -> None:
    import json

    from vmgen_build.build.engine import dry_run

    for recipe in recipes:
        common.show_problems(recipe.warnings)
        states = dry_run(recipe, options, bus)
        if as_json:
            for s in states:
                fields = {
                    "recipe": str(recipe.path),
                    "backend": s.backend,
                    "step": s.step,
                    "title": s.title,
                    "id": s.id,
                }
                common.show(json.dumps({"event": "step-state", **fields, "cached": s.cached}))
            continue
        rows = [("cached" if s.cached else "to run", s.backend, s.step, s.title, s.id[:12]) for s in states]
        common.show(
            f"{recipe.path}: {sum(s.cached for s in states)} of {len(states)} steps are in the cache", bold=True
        )
        for line in table(rows):
            common.show(f"  {line}")


@dataclass(frozen=True, slots=True)
class _Display:
    """Where events go, and what is printed beside them."""

    screen: Plain
    bus: Bus
    quiet: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Call:
    """What the command line asks for, to be done once or more often."""

    recipes: tuple[Path, ...]
    options: BuildOptions
    jobs: int
    display: _Display
    dry_run: bool

    def require_root(self) -> None:
        from vmgen_build.build.engine import require_root_to_build

        require_root_to_build()

    def made(self) -> int:
        """The exit code."""
        from vmgen_build.build.signers.table import require_keys

        screen, bus = self.display.screen, self.display.bus
        try:
            loaded = _load_all(self.recipes, self.options)
        except RecipeError as error:
            if self.display.as_json:
                bus.note(common.error_text(error), "error")
            else:
                common.show_error(error)
            return error.exit_code
        if self.dry_run:
            _dry_run(loaded, self.options, bus, as_json=self.display.as_json)
            return 0
        require_keys(self.options.sign)
        screen.side_by_side = self.jobs > 1 and len(loaded) > 1
        return _build_all(loaded, self.options, self.jobs, self.display)


def _build_all(recipes: list[Recipe], options: BuildOptions, jobs: int, display: _Display) -> int:
    """Build what can be built; the worst exit code."""
    from vmgen_build.build.many import build_many
    from vmgen_build.events import RecipeBus

    outcomes = dict.fromkeys((recipe.path for recipe in recipes), "not tried")
    worst = 0
    for outcome in build_many(recipes, options, display.bus, jobs, display.screen.tick):
        if outcome.error is not None:
            outcomes[outcome.recipe.path] = "failed"
            worst = max(worst, outcome.error.exit_code)
            if isinstance(outcome.error, RecipeError) and not display.as_json:
                with display.screen.paused():
                    common.show_error(outcome.error)
            else:
                RecipeBus(str(outcome.recipe.path), display.bus).note(common.error_text(outcome.error), "error")
                display.screen.annotate(outcome.error)
            continue
        outcomes[outcome.recipe.path] = "built"
        if not display.as_json:
            with display.screen.paused():
                for result in outcome.results:
                    _show_result(result, display.quiet)
                    if len(recipes) == 1 and not display.quiet:
                        _show_uses(result)
    if len(recipes) > 1 and not (display.quiet or display.as_json):
        _show_outcomes(outcomes)
    return worst


def _show_uses(result: BuildResult) -> None:
    """What can be done with it, each a line that a shell takes."""
    import shlex

    main = shlex.quote(str(result.artifacts[0].path))
    for line in (f"vmgen-build run {main}", f"vmgen-build verify {main}", *result.uses):
        common.show(f"  $ {line}")


def _show_outcomes(outcomes: dict[Path, str]) -> None:
    built = sum(outcome == "built" for outcome in outcomes.values())
    common.show(f"{built} of {len(outcomes)} recipes built", bold=True)
    for path, outcome in outcomes.items():
        if outcome != "built":
            common.show(f"  {outcome}: {path}", fg="red")


def _show_result(result: BuildResult, quiet: bool) -> None:
    """With -q the files' names alone, for scripts."""
    if quiet:
        for packed in result.artifacts:
            common.show(str(packed.path))
        return
    outcome = "unchanged since its last build, looked up" if result.unchanged else "built"
    cached = sum(step.outcome == "cached" for step in result.steps)
    counted = f"; {cached} of {len(result.steps)} steps from the cache" if cached else ""
    common.show(f"{result.name} for {result.backend}: {outcome} in {duration(result.seconds)}{counted}", bold=True)
    files = [(str(packed.path), size(packed.size)) for packed in result.artifacts]
    files += [(str(manifest), size(manifest.stat().st_size)) for manifest in (*result.manifests, *result.described)]
    for line in table(files, right=(1,)):
        common.show(f"  {line}")
    several = len(result.artifacts) > 1
    for packed in result.artifacts:
        common.show(f"  sha256 {packed.sha256}" + (f"  {packed.path.name}" if several else ""))
    for section, program, reason in result.skipped:
        common.show(f"  skipped: [{section}] {clean(program)}: {clean(reason)}", fg="yellow")
