"""vmgen-build diff: what differs between two recipes, manifests or artifacts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vmgen_build.cli import common
from vmgen_build.errors import VmgenError
from vmgen_build.text import clean

if TYPE_CHECKING:
    from vmgen_build.build.differences import Compared, Difference

DIFFERENT, TROUBLE = 1, 2
"""Exit codes, as of diff(1)."""

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
_SHOWN = 40
"""Lines of one text that are shown; --json has all."""


@click.command("diff", context_settings=common.CONTEXT, short_help="Say what differs between two images or recipes.")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option("--files", is_flag=True, help="Compare each file of two images: content, mode, owner. Reads them whole.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit code tells.")
@common.backend_option
@common.sets_option
@common.templates_option
@common.offline_option
@common.unchecked_cache_option
@click.option("--json", "as_json", is_flag=True, help="Print each difference as JSON, one object a line.")
def diff_command(a: Path, b: Path, files: bool, quiet: bool, as_json: bool, **values: Any) -> None:
    """Say what B has that A has not (+), what A alone has (-), and what is another in both (~).

    A and B are recipes, manifests or images, in any combination; each is known by what it holds. Of two recipes their
    options are compared, of all else what the manifests say: system, settings, packages, the backend's files, sizes.
    Images without a manifest are compared by what their root file systems hold. Needs no root.

    Exit code 0 where nothing differs, 1 where something does, 2 where they cannot be compared, as of diff(1).

    \b
      vmgen-build diff last/lab.ova.manifest.json output/lab.ova
      vmgen-build diff old.tar.zst new.tar.zst --files
      vmgen-build diff old.ini new.ini
    \f
    values: the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.build.differences import compare
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.sides import two_sides

    try:
        compared = compare(*two_sides((a, b), BuildOptions(**values), files=files))
    except VmgenError as error:
        _trouble(common.error_text(error))
    except (OSError, ValueError) as error:
        from vmgen_build.cli.crash import report

        report(error)
        _trouble()
    if as_json and not quiet:
        for difference in compared.differences:
            common.show(json.dumps({"event": "difference", **asdict(difference)}))
    elif not quiet:
        _show(a, b, compared)
    click.get_current_context().exit(DIFFERENT if compared.differences else 0)


def _trouble(text: str = "") -> NoReturn:
    """1 would mean that they differ."""
    if text:
        common.complain(text)
    click.get_current_context().exit(TROUBLE)


def _show(a: Path, b: Path, compared: Compared) -> None:
    from vmgen_build.build.differences import GROUPS

    common.show(f"- {a}", fg="red")
    common.show(f"+ {b}", fg="green")
    for note in compared.notes:
        common.show_wrapped(note, "  ", "  ", dim=True)
    for group in GROUPS:
        found = compared.of(group)
        if found:
            counts = ", ".join(f"{count} {sign}" for sign in "+-~" if (count := sum(d.sign == sign for d in found)))
            common.show(f"{group} ({counts})", bold=True)
        for difference in found:
            _show_difference(difference)
    if not compared.differences:
        common.show("nothing differs", bold=True)


def _show_difference(one: Difference) -> None:
    values = " -> ".join(filter(None, map(clean, (one.old, one.new))))
    head = f"  {one.sign} "
    colour = _COLOURS[one.sign]
    name = clean(one.name)
    if len(head) + len(name) + len(values) + 2 <= 80:
        common.show(f"{head}{name}{'  ' + values if values else ''}", fg=colour)
    else:
        common.show(f"{head}{name}", fg=colour)
        for sign, value in (("-", one.old), ("+", one.new)):
            if value:
                common.show_wrapped(f"{sign} {value}", "      ", "        ", fg=_COLOURS[sign])
    for line in one.lines[:_SHOWN]:
        common.show(f"      {clean(line)}", fg=_COLOURS.get(line[:1]))
    if len(one.lines) > _SHOWN:
        common.show(f"      ({len(one.lines) - _SHOWN} more lines; --json has them)")
