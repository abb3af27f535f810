"""vmgen-build doctor: what a host lacks, and the one command that mends it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.host.system import host_system
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.build.finding import Finding


@click.command("doctor", context_settings=common.CONTEXT, short_help="Say what this host lacks, and how to mend it.")
@common.unchecked_cache_option
@hosts.host_options
@click.option("--keep-as", metavar=hosts.GOAL, default="", help="May the account keep machines there as builds do?")
@click.option("--base", metavar="vm:NAME", default="", help="A machine of a vSphere server: can builds begin with it?")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def doctor_command(base: str, as_json: bool, **values: Any) -> None:
    """Look at what a build and a verification need of this host, or at what a build needs of the build host that --host
    names. Exit code 1 where something is missing.
    \f
    values: the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.places.registry import place_at

    place = place_at(BuildOptions(**values))
    place.check_options()
    findings = [*(place.doctor_of(base) if base else []), *place.doctor()]
    if as_json:
        for finding in findings:
            common.show(json.dumps(finding.as_dict()))
    else:
        _show(findings)
    click.get_current_context().exit(0 if all(f.good for f in findings) else 1)


def _show(findings: list[Finding]) -> None:
    rows = [("ok" if f.good else "MISSING", f.what, f.found) for f in findings]
    for finding, line in zip(findings, table(rows), strict=True):
        common.show(line, **({} if finding.good else {"fg": "red"}))
    lacking = [f for f in findings if not f.good]
    advice = [f.advice for f in lacking if f.advice]
    _show_packages([f for f in lacking if f.package], alone=not advice)
    for text in advice:
        common.show(text, bold=True)
    if not lacking:
        common.show("Everything is there.", bold=True)


def _show_packages(lacking: list[Finding], *, alone: bool) -> None:
    """The command that installs it, or a list where there is no apt-get. alone: nothing else is wrong."""
    if not lacking:
        return
    common.show()
    if host_system().has_apt:
        common.show("This command mends it:" if alone else "This command installs what is missing:", bold=True)
        sudo = "" if os.geteuid() == 0 else "sudo "
        packages = " ".join(sorted({f.package for f in lacking}))
        common.show(f"  {sudo}apt-get update && {sudo}apt-get install -y {packages}")
        return
    common.show(
        "This is missing; get it by this host's package manager, or build on Debian (docs/hosts.md):", bold=True
    )
    for line in table([("program", "Debian's package", "why"), *((f.what, f.package, f.found) for f in lacking)]):
        common.show(f"  {line}")
