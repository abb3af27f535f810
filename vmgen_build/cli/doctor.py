"""vmgen-build doctor: what this host can do, what keeps it from more, and the one command that mends it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common, hosts
from vmgen_build.errors import HostError, UsageError
from vmgen_build.host.system import host_system, how_to_get
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.build.answers import Answer
    from vmgen_build.build.finding import Finding
    from vmgen_build.host.needs import Lack

STYLES = {"works": {"fg": "green"}, "degraded": {"fg": "yellow"}, "no": {"fg": "red"}}

EPILOG = """\b
Examples:
  vmgen-build doctor                     all that this host can do
  vmgen-build doctor lxc verify          one backend, one command
  vmgen-build doctor --install           install what is missing
  vmgen-build doctor minisign --install
  vmgen-build doctor --host qemu:        what machines in QEMU get
  vmgen-build doctor --host ssh://root@node"""


@click.command(
    "doctor", context_settings=common.CONTEXT, epilog=EPILOG, short_help="Say what this host can do, and mend it."
)
@click.argument("words", nargs=-1, metavar="[COMMAND|BACKEND|FORMAT|PLACE]...")
@click.option("--install", is_flag=True, help="Install the packages that are missing, by apt-get; needs root.")
@click.option("-y", "--yes", is_flag=True, help="With --install: do not ask.")
@click.option("-v", "--verbose", is_flag=True, help="Show each program that was looked for, too.")
@common.unchecked_cache_option
@hosts.host_options
@click.option("--keep-as", metavar=hosts.GOAL, default="", help="May the account keep machines there as builds do?")
@click.option("--base", metavar="vm:NAME", default="", help="A machine of a vSphere server: can builds begin with it?")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def doctor_command(words: tuple[str, ...], base: str, as_json: bool, verbose: bool, **values: Any) -> None:
    """Say of each command, backend and place whether it works on this host, works with something slower or missing
    (degraded), or not (no); why; and what mends it. Words ask for some of it alone.

    With --host: look at the build host that it names.

    Exit code 1 where something that was asked for does not work. Without words that is what everybody needs: not the
    places elsewhere, the targets of install, or the programs that sign.
    \f
    values: install, yes; and the options that are named as the fields of BuildOptions are.
    """
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.places.registry import place_at

    install, yes = values.pop("install"), values.pop("yes")
    place = place_at(BuildOptions(**values))
    place.check_options()
    if values["host"] or base:
        if words or install:
            raise UsageError("--host and --base look at another host as a whole; leave the words and --install out")
        findings = [*(place.doctor_of(base) if base else []), *place.doctor()]
        _show_all(findings, as_json=as_json)
        click.get_current_context().exit(0 if all(f.good for f in findings) else 1)
    if yes and not install:
        raise UsageError("--yes answers --install; add that, or leave --yes out")
    if install:
        _install(words, yes)
    good = _look(words, place.doctor(), as_json, verbose)
    click.get_current_context().exit(0 if good else 1)


def _look(words: Sequence[str], findings: Sequence[Finding], as_json: bool, verbose: bool) -> bool:
    """Show all; whether what was asked for works."""
    from vmgen_build.build.answers import answers, counted

    found = answers(words)
    own = counted(found, words)
    room = [one for one in findings if one.advice and not one.good and one.what.startswith("disk space")]
    room = room if any(one.verb == "build" for one in own) else []
    if as_json:
        shown = [] if words else [finding.as_dict() for finding in findings]
        for each in (*shown, *(one.as_dict() for one in found)):
            common.show(json.dumps(each))
    else:
        if verbose:
            rows = [("ok" if f.good else "MISSING", f.what, f.found) for f in findings]
            common.show_rows(rows, [{}] * len(rows))
            common.show()
        _show_answers(found, words)
        _show_lacks(found, words, room)
    return not room and all(one.readiness.value != "no" for one in own)


def _show_answers(found: Sequence[Answer], words: Sequence[str]) -> None:
    """Whole: a table of commands and backends, a cell for all formats together. Parts: each with its formats."""
    if words:
        _show_parts(found)
        return
    common.show(f"{host_system().name}, as {'root' if os.geteuid() == 0 else 'an ordinary user'}")
    common.show()
    backends = list(dict.fromkeys(one.row.backend for one in found if one.row.backend))
    rows: dict[str, dict[str, list[str]]] = {}
    for one in found:
        head = one.verb if one.row.place == "here" else f"{one.verb} --host {one.row.place}"
        rows.setdefault(head, {}).setdefault(one.row.backend, []).append(one.readiness.value)
    cells = [(head, *(_cell(row.get(name, [])) for name in backends)) for head, row in rows.items() if "" not in row]
    for line in table([("", *backends), *cells]):
        common.show(line)
    common.show()
    others: dict[str, list[str]] = {}
    for one in found:
        if not one.row.backend:
            others.setdefault(one.verb, []).append(f"{one.row.thing} {one.readiness.value}".strip())
    width = max(map(len, others), default=0) + 2
    for verb, states in others.items():
        common.show_wrapped(", ".join(states), verb.ljust(width), " " * width)


def _show_parts(found: Sequence[Answer]) -> None:
    things: dict[tuple[str, str], list[str]] = {}
    for one in found:
        things.setdefault((one.title, one.readiness.value), []).append(one.row.thing)
    for (title, readiness), names in things.items():
        head = f"{readiness:9} "
        common.show_wrapped(f"{title} {', '.join(names)}", head, " " * len(head), **STYLES[readiness])


def _cell(states: Sequence[str]) -> str:
    """Of several formats: degraded where some work and others do not."""
    if not states:
        return "-"
    return states[0] if len(set(states)) == 1 else "degraded"


def _show_lacks(found: Sequence[Answer], words: Sequence[str], room: Sequence[Finding]) -> None:
    """Why, and what mends it."""
    from vmgen_build.build.answers import counted, packages

    own = counted(found, words)

    effects = _effects(found)
    if not effects and not room:
        common.show()
        common.show("Everything is there.", bold=True)
        return
    common.show()
    for lack, hit in sorted(effects, key=lambda effect: effect[0].readiness.value, reverse=True):
        head = f"{lack.readiness.value:9} "
        common.show_wrapped(f"{lack.why} ({_named(hit)})", head, " " * len(head), **STYLES[lack.readiness.value])
    for finding in room:
        common.show_wrapped(f"{finding.what}: {finding.found}", "no        ", " " * 10, **STYLES["no"])
    _show_packages(packages(own), words)
    advice = [lack.advice for one in own for lack in one.lacks] + [finding.advice for finding in room]
    for text in dict.fromkeys(filter(None, advice)):
        common.show_wrapped(text, bold=True)


def _effects(found: Sequence[Answer]) -> list[tuple[Lack, list[Answer]]]:
    """Each lack once, by the first reason for what is wanted, with what suffers from it."""
    effects: dict[tuple[object, str], tuple[Lack, list[Answer]]] = {}
    for one in found:
        for lack in one.lacks:
            what = lack.why.partition(":")[0]
            effects.setdefault((lack.readiness, what), (lack, []))[1].append(one)
    return list(effects.values())


def _named(hit: Sequence[Answer]) -> str:
    """What suffers, in few words: commands with their backends or things; places elsewhere where none here does."""
    whole: dict[str, list[str]] = {}
    for one in hit:
        verb = one.verb if one.row.place == "here" else f"{one.verb} in {one.row.place}"
        whole.setdefault(verb, []).append(one.row.backend or one.row.thing)
    names = {verb: ", ".join(filter(None, dict.fromkeys(each))) for verb, each in whole.items()}
    return "; ".join(
        f"{verb} {each}".strip()
        for verb, each in names.items()
        if verb.partition(" in ")[0] not in names or " in " not in verb
    )


def _show_packages(lacking: Sequence[str], words: Sequence[str] | None) -> None:
    """The command that installs them, or the list where there is no apt-get. words: None for another host."""
    if not lacking:
        return
    common.show()
    if host_system().has_apt:
        ours = "" if words is None else f" ('{' '.join(('vmgen-build doctor', *words, '--install'))}' does so)"
        common.show(f"This command installs what is missing{ours}:", bold=True)
        common.show(f"  {_command(lacking)}")
        return
    common.show(
        "Get what Debian's packages of these names hold by this host's package manager, or build on Debian"
        " (docs/hosts.md):",
        bold=True,
    )
    common.show_wrapped(" ".join(lacking), "  ", "  ")


def _command(names: Iterable[str]) -> str:
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {' '.join(names)}"


def _install(words: Sequence[str], yes: bool) -> None:
    """Install what was asked for and is missing. Raises HostError, UsageError; click.Abort for a no."""
    from vmgen_build.build.answers import answers, counted, packages
    from vmgen_build.build.mending import install

    names = packages(counted(answers(words), words))
    if not names:
        common.complain("no package is missing")
        return
    if not host_system().has_apt:
        raise HostError(f"this host has no apt-get; {how_to_get(names)}")
    common.complain(_command(names))
    if os.geteuid() != 0:
        raise HostError("installing packages needs root: run 'vmgen-build doctor --install' by sudo, or the line above")
    if not yes:
        if not common.is_terminal(sys.stdin):
            raise UsageError("--install asks before it installs, and here is nobody to ask; add --yes")
        click.confirm("Run this?", abort=True, err=True)
    install(names, common.complain)


def _show_all(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Of another host: a flat list."""
    if as_json:
        for finding in findings:
            common.show(json.dumps(finding.as_dict()))
        return
    rows = [("ok" if f.good else "MISSING", f.what, f.found) for f in findings]
    common.show_rows(rows, [{} if finding.good else {"fg": "red"} for finding in findings])
    lacking = [f for f in findings if not f.good]
    _show_packages(sorted({f.package for f in lacking if f.package}), None)
    for text in filter(None, (f.advice for f in lacking)):
        common.show(text, bold=True)
    if not lacking:
        common.show("Everything is there.", bold=True)
