"""What a target is: which artifacts it takes, and the commands by which it does."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.build.using.image import Image
from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.node.driver import last_line
from vmgen_build.guests.runners import Done, Host, Runner
from vmgen_build.host.needs import ROOT, Need, Readiness, programs
from vmgen_build.host.programs import Requirement, find_program
from vmgen_build.text import clean

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

NOT_THERE = 127
"""Exit code of a command that was not found, as a shell has it."""


@dataclass(frozen=True, slots=True)
class Put:
    """A new file of the host, its owner's alone. source: a file of ours, or the text itself."""

    source: Path | str
    goal: str


@dataclass(frozen=True, slots=True)
class Run:
    """A command of the host. source: its standard input, as of Put. undo: the command that undoes it."""

    argv: tuple[str, ...]
    source: Path | str = ""
    undo: tuple[str, ...] = ()


Action = Put | Run


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be installed. name: what it is called there."""

    image: Image
    name: str

    @property
    def renamed(self) -> bool:
        return self.name != self.image.name


@dataclass(frozen=True, slots=True)
class Install:
    """actions: in order; nothing of them stays where one fails. start: starts it, enter: shows it, for people.
    notes: what a user may want to know."""

    actions: tuple[Action, ...]
    start: tuple[str, ...]
    enter: str
    notes: tuple[str, ...] = ()


class Site:
    """The host, as far as it can be asked. runner: None where it is not: nothing is known of it then."""

    def __init__(self, runner: Runner | None, *, local: bool) -> None:
        self._runner, self.local = runner, local

    @property
    def known(self) -> bool:
        return self._runner is not None

    def ask(self, *argv: str) -> Done:
        """A command that changes nothing. What is not known ends with NOT_THERE."""
        return self._runner.run(argv) if self._runner else Done(NOT_THERE, "", "")

    def require(self, what: str, *argv: str) -> None:
        """Raises HostError where the command fails. what: that then is so."""
        if self._runner is not None and (done := self.ask(*argv)).code != 0:
            raise HostError(f"{self._runner.name}: {what}: {clean(last_line(done)) or 'install it, or start it'}")

    def says(self, usual: str, *argv: str) -> str:
        """The first line of the answer; `usual` where there is none."""
        done = self.ask(*argv)
        lines = done.out.strip().splitlines() if done.code == 0 else []
        return lines[0] if lines else usual

    def has(self, program: str) -> bool:
        return self.ask("sh", "-c", 'command -v "$1"', "sh", program).code == 0

    def holds(self, path: str) -> bool:
        return self.ask("test", "-e", path).code == 0


class Target(ABC):
    """A module of this package each, which holds one as TARGET."""

    name: ClassVar[str]
    """As --to says."""
    title: ClassVar[str]
    """As people call it."""
    programs: ClassVar[tuple[str, ...]]
    """Any of them does it."""
    takes: ClassVar[Mapping[tuple[str, str], str]]
    """Backend and format of what it takes -> what that is to it, in its own words."""
    needs_root: ClassVar[bool] = True
    package: ClassVar[str] = ""
    """Debian's, which brings one of the programs."""

    def needs(self) -> tuple[Need, ...]:
        """What installing here needs of this host. Without a program of it the commands are printed."""
        if any(map(find_program, self.programs)):
            return (ROOT,) if self.needs_root else ()
        why = "installs, which this host does not: the commands are printed instead"
        return programs(Requirement(self.programs[0], self.package, why), without=Readiness.DEGRADED)

    def check(self, image: Image) -> None:
        """Raises UsageError for an artifact that it does not take: it says what to build."""
        if (image.backend.name, image.format.name) not in self.takes:
            able = " or ".join(f"-b {backend} --format {form}" for backend, form in self.takes)
            raise UsageError(f"{image.path} is {image.kind}, which {self.title} does not take; build it with {able}")

    @abstractmethod
    def install(self, wish: Wish, site: Site) -> Install:
        """What to do there. Raises UsageError for a name that is taken there, or is none; VmgenError for an artifact
        that is not sound."""

    def program(self, site: Site) -> str:
        """The first one that is there; else the first."""
        return next(filter(site.has, self.programs), self.programs[0])


def check_name(name: str) -> None:
    """Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(f"--name '{name}': write letters, digits, '-', '_' and '.', a letter or digit first")


def refuse_taken(what: str, wish: Wish) -> UsageError:
    return UsageError(f"there is {what} '{wish.name}' already; choose another name by --name, or remove it first")


def as_shell(actions: Sequence[Action], host: Host) -> list[str]:
    """The commands, for a person who types them here. host: where they run."""
    return [line for action in actions for line in _lines(action, host)]


def _lines(action: Action, host: Host) -> list[str]:
    if isinstance(action, Run):
        return _fed(shlex.join(action.argv), action.source, host)
    if isinstance(action.source, str):
        return _fed(f"cat > {shlex.quote(action.goal)}", action.source, host)
    if host.local:
        return [shlex.join(("cp", str(action.source), action.goal))]
    port = ("-P", str(host.port)) if host.port else ()
    return [shlex.join(("scp", *port, str(action.source), f"{_login(host)}:{action.goal}"))]


def _fed(command: str, source: Path | str, host: Host) -> list[str]:
    if not host.local:
        port = ("-p", str(host.port)) if host.port else ()
        command = shlex.join(("ssh", *port, _login(host), command))
    if isinstance(source, Path):
        return [f"{command} < {shlex.quote(str(source))}"]
    return [f"{command} <<'END'", *source.splitlines(), "END"] if source else [command]


def _login(host: Host) -> str:
    name = f"[{host.name}]" if ":" in host.name else host.name
    return f"{host.user}@{name}" if host.user else name
