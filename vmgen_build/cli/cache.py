"""vmgen-build cache: what is kept between builds."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.errors import UsageError
from vmgen_build.text import size, table

if TYPE_CHECKING:
    from vmgen_build.build.places.model import Place
    from vmgen_build.store.layers import Entry


@click.group("cache", context_settings=common.CONTEXT, short_help="Show or shrink what is kept between builds.")
def cache_command() -> None:
    """Show or shrink what is kept between builds: the results of steps, and downloads."""


@cache_command.command("ls", context_settings=common.CONTEXT)
@common.cache_option
@hosts.kept_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def list_command(as_json: bool, **values: Any) -> None:
    """List what the cache holds, last used first; with --host the results of steps on a vSphere server.

    \b
      vmgen-build cache ls
    \f
    values: fields of BuildOptions.
    """
    place = _place(values)
    entries = place.kept()
    if as_json:
        _print_json(entries)
        return
    _print_table(entries)
    where = place.options.host or place.options.cache
    common.show(f"{len(entries)} entries, {size(sum(e.size for e in entries))} in {where}", bold=True)


@cache_command.command("prune", context_settings=common.CONTEXT)
@click.option("--keep", metavar="SIZE", help="Drop what was used least recently until SIZE is left, as in 20G.")
@click.option("--older", metavar="AGE", help="Drop what was not used for AGE, as in 30d.")
@click.option("--all", "everything", is_flag=True, help="Drop everything that no running build uses.")
@click.option("--dry-run", is_flag=True, help="Say what would go; drop nothing.")
@common.cache_option
@hosts.kept_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def prune_command(
    keep: str | None, older: str | None, everything: bool, dry_run: bool, as_json: bool, **values: Any
) -> None:
    """Drop what is no longer needed from the cache, or with --host from a vSphere server; running builds keep what they
    use.

    \b
      vmgen-build cache prune --keep 20G --older 30d
      vmgen-build cache prune --all --dry-run
    \f
    values: fields of BuildOptions.
    """
    if not (keep or older or everything):
        raise UsageError("cache prune: say what may go: --keep 20G, --older 30d or --all")
    if everything and (keep or older):
        raise UsageError("cache prune: --all leaves nothing for --keep and --older to choose; drop one or the other")
    limit = common.parse_bytes(keep) if keep else None
    age = common.parse_age(older) if older else None
    from vmgen_build.store.layers import Sweep

    gone = _place(values).prune(Sweep(limit, age, dry_run))
    if as_json:
        _print_json(gone)
        return
    _print_table(gone)
    verb = "would be dropped" if dry_run else "dropped"
    common.show(f"{len(gone)} entries {verb}, {size(sum(e.size for e in gone))}", bold=True)


def _place(values: Mapping[str, Any]) -> Place:
    """values: fields of BuildOptions. Raises UsageError."""
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.places.registry import place_at

    place = place_at(BuildOptions(**values))
    place.check_options()
    return place


def _print_json(entries: list[Entry]) -> None:
    for entry in entries:
        common.show(json.dumps(dataclasses.asdict(entry)))


def _print_table(entries: list[Entry]) -> None:
    now = time.time()
    rows = [
        (e.id[:12], e.kind, size(e.size), f"made {_ago(now - e.created)}", f"used {_ago(now - e.used)}", e.name)
        for e in entries
    ]
    for line in table(rows, right=(2,)):
        common.show(line)


def _ago(seconds: float) -> str:
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
