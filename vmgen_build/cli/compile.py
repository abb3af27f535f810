"""vmgen-build compile: write out all that a build would run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common

if TYPE_CHECKING:
    from vmgen_build.build.choice import Chosen


@click.command("compile", context_settings=common.CONTEXT, short_help="Write out all that a build would run.")
@click.argument("recipe", type=common.recipe_path)
@common.backend_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder for the scripts, the backend's files and plan.json; DIR/BACKEND where there are several.",
)
@common.sets_option
@common.strict_option
@common.offline_option
@common.cache_option
@common.templates_option
@common.image_server_option
def compile_command(recipe: Path, **values: Any) -> None:
    """Write out all that building RECIPE would run, to be read: every script, the backend's own files, plan.json.

    Needs no root and builds nothing. Passwords are not among what is written, but for Windows: Setup's answers and all
    steps go onto NAME-setup.iso (and NAME-setup.img for XP and 2003), which hold them.

    \b
      vmgen-build compile lab.ini -o plan
      vmgen-build compile lab.ini -b vmware -b openvz -o plan
    \f
    values: the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.backends.registry import backend_named
    from vmgen_build.build.engine import plan_and_base
    from vmgen_build.build.media import media_of, texts_of, write_media
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.host.bounds import bounded
    from vmgen_build.limits import CHECK_MEMORY, CHECK_TIME
    from vmgen_build.plan.export import export
    from vmgen_build.recipe.load import load

    options = BuildOptions(**values, shared_cache=common.shared_cache())
    with bounded(str(recipe), CHECK_TIME, CHECK_MEMORY):
        loaded = load(recipe, options.sets, options.strict)
        found = {backend: plan_and_base(loaded, backend, options) for backend in options.backends}
        extra = {name: backend_named(name).extra_files(loaded, options.templates) for name in options.backends}
        media = {name: media_of(loaded, plan, options.templates) for name, (plan, _) in found.items()}
    common.show_problems(loaded.warnings)
    for text in filter(None, dict.fromkeys(_about(chosen) for _, chosen in found.values())):
        common.complain(text)
    for backend, (plan, _) in found.items():
        inner = backend if len(options.backends) > 1 else ""
        paths = export(plan, options.output, inner, {**extra[backend], **texts_of(media[backend])})
        written = write_media(media[backend], plan, options.output / inner)
        for path in (*paths, *written.paths):
            common.show(str(path))
        for text in written.notes:
            common.complain(text)
        for section, program, reason in plan.skipped:
            common.complain(f"skipped: [{section}] {program}: {reason}")


def _about(chosen: Chosen) -> str:
    """What is to be said of the base; "" for nothing."""
    unknown = chosen.unknown and f"which base it is, a build alone knows: {chosen.unknown}; its ids are others then"
    return "\n".join(filter(None, (chosen.note, unknown)))
