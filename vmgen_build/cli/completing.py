"""Answers a shell that asks by which words a command line can go on.

The scripts in shells/ set $_VMGEN_BUILD_COMPLETE to the shell's name, and call the command with what is written so far:
bash with its whole line, others with each word, the last of which is the one that Tab was pressed in. An answer is a
line for each word: its kind, itself, and what it is, with tabs between. A kind is `word`, `open` (something must follow
without a space), or `files` and `dirs` (zsh, which lists them itself).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from vmgen_build.cli import words
from vmgen_build.cli.main import Door, door
from vmgen_build.text import clean

Item = CompletionItem
ASKED = "_VMGEN_BUILD_COMPLETE"
OPEN_ENDS = ("=", ".", "/", ":")


class Listed(click.ParamType):  # type: ignore[type-arg]
    """The type of a parameter while it is completed: words of a source."""

    name = "word"

    def __init__(self, source: words.Source) -> None:
        self._source = source

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Item]:
        return list(self._source(ctx, incomplete))


class CompletingDoor(Door):
    """All commands as they are completed: nothing of them is checked, nothing is run."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        return prepared(command) if command else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Item]:
        """A recipe may stand here, and every option of `build`: it is what a bare recipe means."""
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-"):
            return [*found, words.file_item(*words.RECIPES, with_folders=bool(incomplete))]
        build = self.get_command(ctx, "build")
        assert build is not None
        with click.Context(build, info_name="build", parent=ctx, resilient_parsing=True) as inner:
            options = {item.value: item for item in (*build.shell_complete(inner, incomplete), *found)}
        return list(options.values())


def prepared(command: click.Command) -> click.Command:
    """One like it, whose parameters know their words and have no callbacks."""
    command = copy(command)
    command.params = [_prepared_parameter(command.name or "", parameter) for parameter in command.params]
    if isinstance(command, click.Group):
        command.commands = {name: prepared(inner) for name, inner in command.commands.items()}
    return command


def _prepared_parameter(command: str, parameter: click.Parameter) -> click.Parameter:
    parameter = copy(parameter)
    parameter.callback = None
    source = words.source_of(command, parameter)
    if source is not None and not isinstance(parameter.type, click.Choice):
        parameter.type = Listed(source)
    return parameter


@dataclass(frozen=True, slots=True)
class Typed:
    """before: the words before the one at the cursor. word: that one, up to the cursor. raw: as it is written, where
    that is known. breaks: characters that end a word for the shell, though none for us."""

    before: tuple[str, ...]
    word: str
    raw: str
    breaks: str = ""

    @property
    def option(self) -> str:
        """ "--output=" where the word is --output=DIR; else ""."""
        match = re.match(r"--[^=]+=", self.word)
        return match[0] if match else ""

    @property
    def kept(self) -> int:
        """Characters of the word that the shell takes for an earlier one, and leaves as they are."""
        quoted = self.raw[:1] in ("'", '"')
        return 0 if quoted else max((self.word.rfind(char) + 1 for char in self.breaks), default=0)


class Answering(ShellComplete):
    """click's completion for one shell."""

    source_template = ""

    def __init__(self, cli: click.Command, prog_name: str, typed: Typed) -> None:
        super().__init__(cli, {"obj": typed.before}, prog_name, "")
        self.typed = typed

    def get_completion_args(self) -> tuple[list[str], str]:
        return list(self.typed.before), self.typed.word

    def lines(self) -> Iterator[str]:
        args, incomplete = self.get_completion_args()
        for item in self.get_completions(args, incomplete):
            yield from self.shown(item)

    def shown(self, item: Item) -> Iterator[str]:
        """The lines of one item."""
        if item.type == "plain":
            yield line_of(self._rest(str(item.value)), item.help or "")
            return
        begun = self.typed.word.removeprefix(self.typed.option)
        for path in paths(begun, item):
            yield line_of(self.quoted(self._rest(path)))

    def _rest(self, text: str) -> str:
        return (self.typed.option + text)[self.typed.kept :]

    def quoted(self, path: str) -> str:
        """fish does so itself."""
        return path


class BashAnswering(Answering):
    """bash inserts what it gets."""

    def quoted(self, path: str) -> str:
        if self.typed.raw[:1] in ("'", '"'):
            return path
        return re.sub(r"([^\w@%+=:,./~-])", r"\\\1", path)


class ZshAnswering(Answering):
    """zsh lists files itself, by a pattern whose (-.) means files, and takes `--output=` off before it does."""

    def shown(self, item: Item) -> Iterator[str]:
        if item.type == "plain":
            yield line_of(str(item.value), item.help or "")
        elif item.type == "dir":
            yield line_of("", kind="dirs")
        else:
            yield line_of("*.({})(-.)".format("|".join(item.endings)) if item.endings else "*", kind="files")


def line_of(text: str, note: str = "", kind: str = "") -> str:
    kind = kind or ("open" if text.endswith(OPEN_ENDS) else "word")
    return "\t".join((kind, clean(text), clean(note.replace("\n", " "))))


def paths(begun: str, item: Item) -> Iterable[str]:
    """Those that begin so, written as `begun` is; folders end in a slash."""
    endings = tuple(f".{ending}" for ending in item.endings or ())
    folders_only, with_folders = item.type == "dir", item.with_folders is not False
    head, slash, name = begun.rpartition("/")
    folder = Path(head + slash).expanduser() if head + slash else Path()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(name) or (entry.name.startswith(".") and not name.startswith(".")):
            continue
        if entry.is_dir():
            if with_folders:
                yield f"{head}{slash}{entry.name}/"
        elif not folders_only and (not endings or entry.name.endswith(endings)):
            yield f"{head}{slash}{entry.name}"


def typed_line(line: str, breaks: str) -> Typed:
    """line: bash's, up to the cursor."""
    raw = re.search(r"(?:[^\s\\'\"]|\\.|'[^']*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z))*\\?\Z", line, re.DOTALL)
    last = raw[0] if raw else ""
    before = split_arg_string(line[: len(line) - len(last)])
    return Typed(tuple(before[1:]), _plain(last), last, "".join(char for char in breaks if char in "=:"))


def typed_words(given: Sequence[str]) -> Typed:
    """given: of zsh and fish: all words but the command, the last as it is written."""
    *before, last = given or [""]
    return Typed(tuple(before), _plain(last), last)


def _plain(raw: str) -> str:
    """Without quotes and backslashes."""
    return next(iter(split_arg_string(raw)), "")


def answer(shell: str, command: click.Command, name: str, given: Sequence[str]) -> list[str]:
    """The lines for a shell. given: what its script passes on: for bash the line and $COMP_WORDBREAKS."""
    line, breaks = (*given, "", "")[:2]
    typed = typed_line(line, breaks) if shell == "bash" else typed_words(given)
    kinds = {"bash": BashAnswering, "zsh": ZshAnswering, "fish": Answering}
    return list(dict.fromkeys(kinds[shell](command, name, typed).lines()))


def completing_door() -> CompletingDoor:
    settings: dict[str, Any] = {"context_settings": door.context_settings, "params": door.params}
    return CompletingDoor(name=door.name, **settings)


def answer_shell() -> NoReturn:
    """Of sys.argv. Whatever goes wrong, a shell gets no words and no traceback: $VMGEN_DEBUG shows it."""
    _print_answer(completing_door(), "vmgen-build")


def answer_editor() -> NoReturn:
    """The same for vmgctl."""
    from vmgen_build.cli.vmgctl import NAME, vmgctl

    _print_answer(prepared(vmgctl), NAME)


def _print_answer(command: click.Command, name: str) -> NoReturn:
    try:
        for line in answer(os.environ[ASKED], command, name, sys.argv[1:]):
            click.echo(line)
    except Exception:
        if os.environ.get("VMGEN_DEBUG"):
            raise
        sys.exit(1)
    sys.exit(0)
