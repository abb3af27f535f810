"""vmgen-build systems: what a recipe's `os` may name, and what comes of it here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common
from vmgen_build.errors import UsageError
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.build.systems import Known, Way

HEAD = ("system", "can", "base from", "architectures", "installer", "tried")


@click.command("systems", context_settings=common.CONTEXT, short_help="Print the systems that a recipe can name.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def systems_command(name: str | None, as_json: bool) -> None:
    """Print the systems that a recipe can name, or only those whose name, code name or family holds NAME.

    Columns: name; what this version does with it (build, compile, check); where a base comes from, in the order of
    choice; architectures; installer; what was tried, how and when. What this host cannot do as it is stands in
    brackets, and why below the table.

    \b
      vmgen-build systems
      vmgen-build systems debian
    """
    from vmgen_build.build import systems

    part = (name or "").lower()
    found = [one for one in systems.known() if part in f"{one.system} {one.codename} {one.family}"]
    if not found:
        raise UsageError(f"no system is like '{name}'; 'vmgen-build systems' lists all")
    if as_json:
        for one in found:
            common.show(json.dumps(one.as_dict()))
        return
    head, *lines = table([HEAD, *(_row(one) for one in found)])
    common.show(head, bold=True)
    for line in lines:
        common.show(line)
    _show_reasons(found)


def _row(one: Known) -> tuple[str, ...]:
    name = f"{one.system} ({one.codename})" if one.codename not in ("", one.version) else one.system
    can = f"({one.can})" if one.can == "build" and one.why else one.can
    return name, can, _ways(one.bases), _ways(one.architectures), one.installer, "; ".join(one.tried) or "-"


def _ways(ways: tuple[Way, ...]) -> str:
    return " ".join(f"({way.name})" if way.lacks else way.name for way in ways) or "-"


def _show_reasons(found: list[Known]) -> None:
    """Each once, with the systems that it is of."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        lacking = [f"{way.name}: {way.lacks}" for way in (*one.bases, *one.architectures) if way.lacks]
        for text in ([f"{one.can}: {one.why}"] if one.why else []) + lacking:
            reasons.setdefault(text, []).append(one.system)
    if reasons:
        common.show()
    for text, systems in reasons.items():
        shown = ", ".join(systems) if len(systems) < 4 else f"{systems[0]} and {len(systems) - 1} more"
        common.show(f"{text} ({shown})")
