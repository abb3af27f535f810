"""vmgen-build run: a throwaway copy of an image, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vmgen_build.cli import common
from vmgen_build.cli.install import show_outcome


@click.command("run", context_settings=common.CONTEXT, short_help="Run a throwaway copy of an image.")
@click.argument("artifact", type=click.Path(path_type=Path), metavar="ARTIFACT")
@click.option(
    "-p",
    "--port",
    "ports",
    multiple=True,
    metavar="[HOST:]GUEST",
    help="Have this TCP port of 127.0.0.1 lead to the machine's; without HOST to a free one. May be repeated. By"
    " default: all that the recipe opens, each by a free port.",
)
@click.option("--no-ports", is_flag=True, help="Have no port lead to it.")
@click.option("--window", is_flag=True, help="Show a machine's screen in a window, in place of its console here.")
@click.option(
    "--keep",
    default="",
    metavar="NAME",
    help="Do not run it: unpack a container, and register it with lxc under this name, to stay. As install --to lxc.",
)
@common.trusted_option
@common.cache_option
@common.loudness_options
def run_command(artifact: Path, keep: str, trusted: bool, cache: Path, **values: Any) -> None:
    """Run a throwaway copy of ARTIFACT: a container, or a machine in QEMU. Nothing of it stays.

    Your terminal is its console: log in as a user of the recipe. Ctrl-] ends it; so does 'poweroff' inside. The file
    itself is not changed. It runs as verify boots it: apart from this host and its network, a container without root's
    rights here. The manifest beside the file must be there: it says what the file is.

    \b
    vmgen-build run output/lab-lxc-amd64.tar.zst
    vmgen-build run output/lab.ova -p 8080:80 -p 2222:22
    ssh -p 2222 student@127.0.0.1              (in another terminal)
    \f
    values: ports, no_ports, window, quiet, verbose.
    """
    from vmgen_build.build.targets.doing import Wanted, install, parse_where, refuse_with_keep
    from vmgen_build.build.using.image import find_image
    from vmgen_build.build.using.ports import chosen
    from vmgen_build.build.using.run import UseOptions, run_image

    ports, no_ports, window = values.pop("ports"), values.pop("no_ports"), values.pop("window")
    wanted = chosen(ports, none=no_ports)
    screen, bus = common.open_display(as_json=False, **values)
    with screen:
        image = find_image(artifact)
        if keep:
            refuse_with_keep({"--port": ports, "--no-ports": no_ports, "--trusted": trusted, "--window": window})
            show_outcome(install(image, parse_where("lxc"), Wanted(name=keep), bus))
            return
        run_image(image, wanted, UseOptions(cache, trusted, window), bus)
