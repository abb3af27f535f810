"""vmgen-build why: what changed since the last build."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.text import clean

if TYPE_CHECKING:
    from vmgen_build.build.why import Explained, Reason

_SHOWN = 20
"""Changed lines of one text; --json has more."""

_COLOURS = {"-": "red", "+": "green"}


@click.command("why", context_settings=common.CONTEXT, short_help="Say which steps would run again, and why.")
@click.argument("recipe", type=common.recipe_path, metavar="RECIPE")
@common.backend_option
@common.output_option
@common.sets_option
@click.option("--format", "formats", multiple=True, metavar="FORMAT", help="As of the build that is meant.")
@click.option(
    "--compression", default="zstd", metavar="METHOD[:LEVEL]", callback=common.check_compression, help="The same."
)
@common.offline_option
@hosts.host_options
@common.cache_option
@common.templates_option
@common.image_server_option
@common.ostemplate_options
@click.option("--json", "as_json", is_flag=True, help="Print each step as JSON, one object a line.")
def why_command(recipe: Path, as_json: bool, **values: Any) -> None:
    """Say which steps a build of RECIPE would run now, and what changed since its last build.

    The lines of scripts and files, programs, packages, the package archive: whatever a step's result depends on is
    compared with what it was. Of passwords it is only said that they changed. Give the options that the build is given.
    Builds nothing and needs no root, where the cache is yours; the archive is asked at most once an hour.

    \b
      vmgen-build why lab.ini
      vmgen-build why lab.ini -b vmware --offline
    \f
    values: the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.why import why
    from vmgen_build.recipe.load import load

    options = BuildOptions(**values, shared_cache=common.shared_cache())
    screen, bus = common.open_display(as_json=as_json, quiet=False, verbose=False)
    with screen:
        loaded = load(recipe, options.sets)
        common.show_problems(loaded.warnings)
        found = why(loaded, options, bus)
    for explained in found:
        if as_json:
            _show_json(recipe, explained)
        else:
            _show(recipe, explained)


def _show_json(recipe: Path, explained: Explained) -> None:
    for reason in explained.reasons:
        changes = [{"what": change.what, "lines": list(change.lines)} for change in reason.changes]
        fields = {"step": reason.step, "title": reason.title, "id": reason.id, "runs": reason.runs}
        data = {"event": "why", "recipe": str(recipe), "backend": explained.backend, **fields}
        common.show(json.dumps({**data, "reason": reason.code, "text": reason.text, "changes": changes}))


def _show(recipe: Path, explained: Explained) -> None:
    running = sum(reason.runs for reason in explained.reasons)
    total = len(explained.reasons)
    verdict = f"{running} of {total} steps run" if running else f"nothing runs: all {total} steps are there"
    built = "" if explained.when is None else f"; last build {_when(explained.when)}"
    common.show(f"{recipe} for {explained.backend}: {verdict}{built}", bold=True)
    for note in (*explained.notes, *(f"'{title}' is no longer a step" for title in explained.gone)):
        common.show(f"  {note}", fg="yellow")
    for (code, _), group in groupby(explained.reasons, key=lambda reason: (reason.code, _together(reason))):
        _show_group(code, list(group))


def _together(reason: Reason) -> str:
    """Neighbours of which it is the same are shown as one."""
    return reason.step if reason.changes else reason.text


def _show_group(code: str, reasons: Sequence[Reason]) -> None:
    first = reasons[0]
    names = "; ".join(reason.title for reason in reasons)
    if code == "cached" and not first.changes:
        common.show_wrapped(f"cached: {names}", "  ", "    ", dim=True)
        return
    verb = "cached" if code == "cached" else "runs again"
    verb = "runs" if code in ("never", "new") else verb
    common.show_wrapped(f"{verb}: {names}", "  ", "    ", fg=None if code == "cached" else "yellow")
    if code != "changed":
        common.show_wrapped(f"{first.text} (each)" if len(reasons) > 1 else first.text, "    ", "    ")
    for change in first.changes:
        common.show(f"    {change.what}")
        for line in _few(change.lines):
            common.show(f"      {clean(line)}", fg=_COLOURS.get(line[:1]))


def _few(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"({len(lines) - _SHOWN} more lines; --json has them)"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
