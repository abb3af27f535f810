"""vmgen-build profiles: what recipes can take in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.recipe.shipped import Profile


@click.command("profiles", context_settings=common.CONTEXT, short_help="Print the profiles that a recipe can take in.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def profiles_command(name: str | None, as_json: bool) -> None:
    """Print the profiles that ship, or the whole file of the one that NAME is.

    A recipe takes them in by `profiles = development, networking` in [config]. What the recipe says itself goes over
    what they say: `nmap = 0` leaves out a program of theirs. Profiles of your own are files that end in .ini:
    profiles/NAME.ini beside the recipe.

    \b
      vmgen-build profiles
      vmgen-build profiles server
    """
    from vmgen_build.recipe.shipped import profile_names, shipped_profile

    profiles = [shipped_profile(one) for one in ([name] if name else profile_names())]
    if as_json:
        for one in profiles:
            common.show(json.dumps({"profile": one.name, "about": one.about, "programs": dict(one.programs)}))
    elif name:
        click.echo(profiles[0].text, nl=False)
    else:
        for one, line in zip(profiles, table([(one.name, one.about) for one in profiles]), strict=True):
            common.show(line, bold=True)
            _show_programs(one)


def _show_programs(profile: Profile) -> None:
    for section, names in profile.programs.items():
        common.show(f"  [{section}] {' '.join(names)}")
