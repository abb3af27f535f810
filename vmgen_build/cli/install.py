"""vmgen-build install: an image put where it is to stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common

if TYPE_CHECKING:
    from vmgen_build.build.targets.doing import Installed


@click.command("install", context_settings=common.CONTEXT, short_help="Install an image: lxc, incus, libvirt, ...")
@click.argument("artifact", type=click.Path(path_type=Path), metavar="ARTIFACT")
@click.option(
    "--to",
    "where",
    required=True,
    metavar="TARGET[://HOST]",
    help="lxc, incus (or LXD), libvirt, openvz or proxmox; on this host, or by ssh as lxc://root@node:2222.",
)
@click.option("--name", default="", metavar="NAME", help="What it is called there; by default as its recipe says.")
@click.option("--start", is_flag=True, help="Start it at once.")
@click.option("--print", "shown", is_flag=True, help="Only print the commands that do it; asks and changes nothing.")
@click.option("--accept-new-host-key", "accept_new", is_flag=True, help="Take an ssh host key that is not known yet.")
@common.loudness_options
def install_command(artifact: Path, where: str, quiet: bool, verbose: bool, **values: object) -> None:
    """Install ARTIFACT where it is to stay, under a name that is free there: all of it, or nothing.

    Where the target's program is not there, the commands are printed, and nothing is done. The manifest beside the file
    must be there: it says what the file is.

    \b
    vmgen-build install output/lab-lxc-amd64.tar.zst --to lxc --name desk7 --start
    vmgen-build install output/lab-kvm-amd64.qcow2 --to libvirt://root@server
    vmgen-build install output/lab-openvz-amd64.tar --to openvz --print
    \f
    values: the fields of Wanted.
    """
    from vmgen_build.build.targets.doing import Wanted, install, parse_where
    from vmgen_build.build.using.image import find_image

    screen, bus = common.open_display(as_json=False, quiet=quiet, verbose=verbose)
    with screen:
        goal, image = parse_where(where), find_image(artifact)
        show_outcome(install(image, goal, Wanted(**values), bus))  # type: ignore[arg-type]


def show_outcome(outcome: Installed) -> None:
    """The commands on lines of their own, so that they can be taken over."""
    if outcome.done:
        common.show(f"installed; now: {outcome.commands[0]}")
        return
    for line in outcome.commands:
        common.show(line)
