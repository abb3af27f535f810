"""vmgen-build audit: which packages of an image have newer versions, and which are fixes of security?"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common
from vmgen_build.errors import VmgenError
from vmgen_build.text import clean, duration

if TYPE_CHECKING:
    from vmgen_build.build.audit import Audit, OlderPackage

_FRESH = 60.0
"""Seconds: what is younger has no age to be shown."""


@click.command("audit", context_settings=common.CONTEXT, short_help="Find packages of images that have fixes now.")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@click.option("--all", "every", is_flag=True, help="Any newer version counts, not those of security alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object for each image, on a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print what has to be mended alone.")
@common.offline_option
@common.cache_option
def audit_command(
    artifacts: tuple[Path, ...], every: bool, as_json: bool, quiet: bool, offline: bool, cache: Path
) -> None:
    """Say which packages of every ARTIFACT have a newer version in their distribution's archive now, and which of these
    are fixes of security. Needs no root. ARTIFACT is an image with its manifest beside it, or the manifest alone.

    Exit code 0 where no fix of security is waiting (with --all: nothing newer), else 1.

    \b
      vmgen-build audit output/lab-lxc-amd64.tar.zst
      vmgen-build audit --json output/*.manifest.json
    """
    from vmgen_build.build.audit import audit

    wrong = False
    for artifact in artifacts:
        try:
            found = audit(artifact, cache, offline=offline)
        except VmgenError as error:
            common.complain(common.error_text(error), fg="red")
            wrong = True
            continue
        wrong = wrong or bool(found.findings if every else found.security)
        if as_json:
            common.show(json.dumps(_as_dict(found)))
        else:
            _show(found, every=every, quiet=quiet)
    click.get_current_context().exit(1 if wrong else 0)


def _as_dict(found: Audit) -> dict[str, object]:
    data = {**asdict(found), "artifact": str(found.artifact), "asked": int(found.asked)}
    return {
        key: data[key] for key in ("artifact", "os", "asked", "archives", "findings", "known", "elsewhere", "advice")
    }


def _show(found: Audit, *, every: bool, quiet: bool) -> None:
    from vmgen_build.host.terminal import size

    columns = size()[0]
    others = [one for one in found.findings if not one.security]
    for title, colour, group in (("security", "red", found.security), ("newer", "yellow", others)):
        if group and not (quiet and title == "newer" and not every):
            for line in _lines(title, list(group), columns):
                common.show(line, fg=colour)
    if quiet:
        return
    fixes, count = len(found.security), len(found.findings)
    head = f"{clean(str(found.artifact))}: {_counted(fixes, 'fix of security', 'fixes of security')}"
    if not found.has_security:
        head = f"{clean(str(found.artifact))}: fixes of security are not told apart in the archives of {found.os}"
    common.show(f"{head}, {count - fixes} other newer, of {_counted(found.known, 'package', 'packages')}", bold=True)
    age = time.time() - found.asked
    if age > _FRESH:
        common.show(f"  the archives were asked {duration(age)} ago: {', '.join(found.archives)}")
    if found.elsewhere:
        shown = ", ".join(map(clean, found.elsewhere[:5])) + (", ..." if len(found.elsewhere) > 5 else "")
        common.show(f"  not in these archives, and not looked at: {len(found.elsewhere)} ({shown})")
    if found.findings:
        common.show(f"  {found.advice}")


def _lines(title: str, group: list[OlderPackage], columns: int) -> list[str]:
    """A line for each; where one is too long for the screen, all have their versions on a second line."""
    widest = max(len(one.name) for one in group)
    rows = [f"{title:8}  {one.name:{widest}}  {one.installed} -> {one.available}" for one in group]
    if max(map(len, rows)) <= columns:
        return rows
    return [f"{title:8}  {one.name}\n          {one.installed} -> {one.available}" for one in group]


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
