"""vmgen-build shell: look round in an image, or in what a recipe's steps have made so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common

if TYPE_CHECKING:
    from vmgen_build.events import Bus


@click.command("shell", context_settings=common.CONTEXT, short_help="Open a shell in a recipe's steps, or an image.")
@click.argument("target", type=click.Path(path_type=Path), metavar="RECIPE|ARTIFACT")
@click.argument("command", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]")
@click.option("--step", default="", metavar="NAME", help="Of a recipe: the state after this step; the last by default.")
@click.option(
    "-b",
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    callback=common.parse_backends,
    help="Of a recipe: whose steps; lxc by default. Those of a whole machine are entered as a container, too.",
)
@common.trusted_option
@common.sets_option
@common.offline_option
@common.templates_option
@common.cache_option
@common.loudness_options
def shell_command(target: Path, command: tuple[str, ...], **values: object) -> None:
    """Open a shell as root in a throwaway container, or run one COMMAND there. Nothing of what is done in it stays.

    Of a RECIPE: the state after its last step, or after --step NAME, with the network of this host. What is not in the
    cache is built first, and stays there. 'vmgen-build RECIPE --dry-run' lists the steps.

    Of an ARTIFACT that is a container: a copy is booted as verify does it, apart from this host and its network.

    The exit code is that of the shell or of COMMAND.

    \b
    vmgen-build shell lab.ini
    vmgen-build shell lab.ini --step services -- dpkg -l
    vmgen-build shell output/lab-lxc-amd64.tar.zst -- systemctl --failed
    \f
    values: quiet, verbose; trusted, step; and the options that are named as the fields of BuildOptions are.
    """
    loudness = {name: bool(values.pop(name)) for name in ("quiet", "verbose")}
    screen, bus = common.open_display(as_json=False, **loudness)
    with screen:
        code = _entered(target, command, bus, **values)
    click.get_current_context().exit(code)


def _entered(target: Path, command: tuple[str, ...], bus: Bus, **values: object) -> int:
    from vmgen_build.build.using.image import find_image, is_artifact, refuse_for_artifacts
    from vmgen_build.build.using.run import UseOptions, shell_in

    trusted, step = bool(values.pop("trusted")), str(values.pop("step"))
    if is_artifact(target):
        refuse_for_artifacts({"--step": step, "--set": values["sets"], "--templates": values["templates"]})
        return shell_in(find_image(target), command, UseOptions(Path(str(values["cache"])), trusted), bus)
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.using.layers import Entered, shell_on
    from vmgen_build.recipe.load import load

    options = BuildOptions(**values, shared_cache=common.shared_cache())  # type: ignore[arg-type]
    recipe = load(target, options.sets)
    common.show_problems(recipe.warnings)
    return shell_on(recipe, options, Entered(step, command), bus)
