"""An artifact is installed, here or on another host: all of it or nothing. Or what would do it is said."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmgen_build.build.targets.model import Action, Install, Put, Run, Site, Target, Wish, as_shell, check_name
from vmgen_build.build.targets.registry import target_named
from vmgen_build.build.using.image import Image
from vmgen_build.errors import BuildError, HostError, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.runners import Host, Runner, connect, parse_host
from vmgen_build.host.locks import folder_lock
from vmgen_build.host.undo import Undo

PUT = """\
umask 077
cat >"$1.vmgen-part"
[ "$(wc -c <"$1.vmgen-part")" = "$2" ] || { echo "it came in part" >&2; exit 1; }
mv -f -- "$1.vmgen-part" "$1"
"""
"""sh: a file of this name and size from standard input, whole or not at all."""


@dataclass(frozen=True, slots=True)
class Where:
    """target: as --to names it. host: where."""

    target: Target
    host: Host


@dataclass(frozen=True, slots=True)
class Installed:
    """done: whether it is installed; else it was only said how. commands: those that do it, or, where it is done,
    those that start and enter it."""

    done: bool
    commands: tuple[str, ...]


def parse_where(text: str) -> Where:
    """ "lxc", or "lxc://root@node". Raises UsageError."""
    name, far, rest = text.partition("://")
    target = target_named(name)
    return Where(target, parse_host(f"ssh://{rest}") if far else Host())


def install(image: Image, where: Where, wanted: Wanted, bus: Bus) -> Installed:
    """Raises UsageError for an artifact that the target does not take or a name that is taken there; VmgenError, or
    KeyboardInterrupt, once all that was begun is undone."""
    target, host = where.target, where.host
    target.check(image)
    wish = Wish(image, wanted.name or image.name)
    check_name(wish.name)
    if wanted.shown:
        return _shown(target.install(wish, Site(None, local=host.local)), host)
    with ExitStack() as stack:
        probe = stack.enter_context(connect(host, accept_new=wanted.accept_new, need_root=False))
        if not any(map(Site(probe, local=host.local).has, target.programs)):
            names = " or ".join(target.programs)
            bus.note(f"{probe.name} has no {names}: these commands do it where it is", "warning")
            return _shown(target.install(wish, Site(None, local=host.local)), host)
    with connect(host, accept_new=wanted.accept_new, need_root=target.needs_root) as runner, folder_lock(Path("/")):
        found = target.install(wish, Site(runner, local=host.local))
        for note in found.notes:
            bus.note(note, "warning")
        _do(found, runner, bus)
        if wanted.start:
            _start(found, wish, runner)
    then = tuple(shlex.split(found.enter)) if wanted.start else found.start
    return Installed(True, tuple(as_shell([Run(then)], host)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """name: what it is to be called; "" for its own. start: at once. shown: only say how. accept_new: as of
    guests.runners.connect."""

    name: str = ""
    start: bool = False
    shown: bool = False
    accept_new: bool = False


def refuse_with_keep(given: Mapping[str, object]) -> None:
    """Raises UsageError for an option of a run, where nothing is run. given: the options by name, and their values."""
    for option, value in given.items():
        if value:
            raise UsageError(f"{option}: --keep runs nothing; leave one of them out")


def _shown(found: Install, host: Host) -> Installed:
    return Installed(False, tuple(as_shell([*found.actions, Run(found.start)], host)))


def _do(found: Install, runner: Runner, bus: Bus) -> None:
    with Undo() as undo:
        for action in found.actions:
            bus.note(_brief(action), verbose=True)
            _one(action, runner, undo)
        undo.pop_all()


def _one(action: Action, runner: Runner, undo: Undo) -> None:
    if isinstance(action, Put):
        size = action.source.stat().st_size if isinstance(action.source, Path) else len(action.source.encode())
        undo.callback(runner.run, ["rm", "-f", "--", action.goal, f"{action.goal}.vmgen-part"])
        _run(
            Run(("sh", "-euc", PUT, "sh", action.goal, str(size)), action.source), runner, f"cannot write {action.goal}"
        )
        return
    if action.undo:
        undo.callback(runner.run, list(action.undo))
    _run(action, runner, f"{action.argv[0]} fails")


def _run(action: Run, runner: Runner, what: str) -> None:
    with ExitStack() as opened:
        data: bytes | BinaryIO = action.source.encode() if isinstance(action.source, str) else b""
        if isinstance(action.source, Path):
            data = opened.enter_context(action.source.open("rb"))
        done = runner.run(list(action.argv), data=data, timeout=None)
    if done.code != 0:
        raise BuildError(f"{runner.name}: {what}: {(done.err or done.out).strip() or f'it ended with {done.code}'}")


def _start(found: Install, wish: Wish, runner: Runner) -> None:
    try:
        _run(Run(found.start), runner, f"{wish.name} is installed, but does not start")
    except BuildError as error:
        raise HostError(str(error)) from error


def _brief(action: Action) -> str:
    return f"writes {action.goal}" if isinstance(action, Put) else f"runs {' '.join(action.argv)[:200]}"
