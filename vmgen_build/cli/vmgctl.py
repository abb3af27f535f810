"""The command vmgctl: single settings of a recipe read, set and deleted; all else in the file stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from vmgen_build import __version__
from vmgen_build.cli import common
from vmgen_build.cli import main as entry
from vmgen_build.errors import UsageError

if TYPE_CHECKING:
    from vmgen_build.recipe.edit import Change
    from vmgen_build.recipe.settings import Setting

NAME = "vmgctl"

EPILOG = """\b
Examples:
  vmgctl lab.ini                               list all, as PATH = VALUE
  vmgctl lab.ini hardware.ram                  print one value
  vmgctl lab.ini hardware.ram=2G devel.gdb=1   set, several at once
  vmgctl lab.ini network.eths.eth0.address=192.168.1.23/24
  vmgctl lab.ini config.packages=htop,tmux     a list
  vmgctl lab.ini devel.gdb- users.users.ana-   delete an option; a section
  vmgctl lab.ini users.users.ana.passwd@-      ask for it, or read a pipe
  vmgctl lab.ini config.scripts.a.run@a.sh     what a file holds
  vmgctl lab.ini hardware.ram=2G --diff        show what would change

\b
Exit codes:
  0  done
  1  the path is not set, or the file cannot be written
  2  the recipe or the command line is wrong; nothing is written"""


def complete(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Paths and values."""
    from vmgen_build.recipe.completing import complete_path

    recipe = context.params.get("recipe")
    return [CompletionItem(one.text, help=one.about) for one in complete_path(incomplete, recipe and Path(recipe))]


def check_suffix(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """As given. Raises UsageError for one that is the next argument."""
    if value and (value[0].isalnum() or "/" in value):
        raise UsageError(f"--in-place {value}: a suffix begins with a dot or another sign, as in --in-place=.bak")
    return value


@click.command(NAME, context_settings=common.CONTEXT, epilog=EPILOG, no_args_is_help=True)
@click.argument("recipe", type=common.recipe_path, metavar="RECIPE")
@click.argument("settings", nargs=-1, metavar="[PATH | PATH=VALUE | PATH@FILE | PATH-]...", shell_complete=complete)
@click.option(
    "-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print values."
)
@click.option("--diff", is_flag=True, help="Show what would change, and write nothing.")
@click.option(
    "--in-place",
    "backup",
    default="",
    metavar="SUFFIX",
    callback=check_suffix,
    help="Keep the old file beside the new one, with this suffix, as .bak. Without it the old one is gone.",
)
@click.option("--force", is_flag=True, help="Write what is no recipe, too: unknown options, wrong values.")
@click.option("--show-secrets", is_flag=True, help="Print passwords, and not *** for them.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print what was changed.")
@click.version_option(__version__, prog_name=NAME)
def vmgctl(recipe: Path, settings: tuple[str, ...], **values: Any) -> None:
    """Print, set and delete single settings of a recipe. Everything else in the file stays byte for byte.

    A PATH names sections and an option, as network.eths.eth0.address. Sections that are missing are added. PATH=VALUE
    sets, and takes VALUE as it stands: quotes and # are data, a comma separates the items of an option that takes a
    list. PATH@FILE takes what a file holds, without its last line end; @- is standard input. PATH- deletes. A PATH
    alone prints its value, no PATH lists all.

    Several changes are made together or not at all, and none that 'vmgen-build check' would refuse. The file is
    replaced as a whole; a link to it stays a link.

    A VALUE on the command line can be seen by other users (ps), and stays in the shell's history: give passwords by
    PATH@-, or as env:NAME.
    \f
    values: the options that are named as the fields of _Flags are.
    """
    wanted = _Flags(**values)
    asked = [_argument(text) for text in settings]
    if all(not rest for _, rest in asked):
        _print(recipe, [names for names, _ in asked], wanted)
    elif wanted.form != "text":
        raise UsageError("-f json prints values, and a change prints none; leave either out")
    elif any(not rest for _, rest in asked):
        lone = next(text for text, (_, rest) in zip(settings, asked, strict=True) if not rest)
        raise UsageError(f"{lone} sets nothing, and other arguments do; print and set in two calls")
    else:
        _change(recipe, _changes(asked), wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags:
    form: str
    diff: bool
    backup: str
    force: bool
    show_secrets: bool
    quiet: bool


def _argument(text: str) -> tuple[tuple[str, ...], str]:
    """The names of its path, and what is to be done with it."""
    from vmgen_build.recipe.dotted import read_path

    names, rest = read_path(text)
    if rest not in ("", "-") and rest[0] not in "=@":
        raise UsageError(f"'{rest}' follows a path; write PATH=VALUE, PATH@FILE, PATH- or PATH")
    return names, rest


def _print(recipe: Path, paths: Sequence[tuple[str, ...]], wanted: _Flags) -> None:
    from vmgen_build.recipe.edit import read_document
    from vmgen_build.recipe.settings import Setting, asked, data_of, settings
    from vmgen_build.recipe.source import read_text

    file, reveal = str(recipe), wanted.show_secrets
    root = read_document(read_text(recipe, file), file).root
    if wanted.form == "json":
        import json

        click.echo(json.dumps(data_of(root, paths, file, reveal), indent=2))
        return
    for names, one in [(names, asked(root, names, file)) for names in paths] or [((), root)]:
        if isinstance(one, Setting):
            _print_value(one, reveal)
        else:
            for each in settings(one, names):
                common.show(each.line(reveal))


def _print_value(setting: Setting, reveal: bool) -> None:
    """The value alone; a terminal gets it made safe, all else as it is."""
    if not reveal and setting.masked != setting.value.text:
        raise UsageError(f"{setting.path} holds a password; --show-secrets prints it")
    if common.is_terminal(sys.stdout):
        for line in setting.value.text.split("\n"):
            common.show(line)
    else:
        click.echo(setting.value.text)


def _changes(asked: Sequence[tuple[tuple[str, ...], str]]) -> list[Change]:
    from vmgen_build.recipe.dotted import written_path
    from vmgen_build.recipe.edit import Change
    from vmgen_build.recipe.settings import is_clear_secret

    if sum(rest == "@-" for _, rest in asked) > 1:
        raise UsageError("standard input can be read once; give @- to one path alone")
    changes = []
    for names, rest in asked:
        if rest == "-":
            changes.append(Change(names, None))
        elif rest[0] == "@":
            changes.append(Change(names, _content(names, rest[1:])))
        else:
            if is_clear_secret(names, rest[1:]):
                path = written_path(names)
                if rest == "=-":
                    raise UsageError(f"{path}=- would set the password to a hyphen; write {path}@- to be asked for it")
                common.complain(
                    f"warning: {path}: a password on the command line can be seen by other users (ps), and stays in the"
                    f" shell's history; write {path}@- to be asked for it",
                    fg="yellow",
                )
            changes.append(Change(names, rest[1:]))
    return changes


def _content(names: tuple[str, ...], file: str) -> str:
    """What a file holds, or standard input; a terminal is asked for a password without showing it."""
    from vmgen_build.limits import RECIPE
    from vmgen_build.recipe.dotted import written_path
    from vmgen_build.recipe.outline import leaf_of

    leaf = leaf_of(names)
    if file == "-" and leaf and leaf.private and common.is_terminal(sys.stdin):
        return str(click.prompt(written_path(names), hide_input=True, confirmation_prompt=True, err=True))
    try:
        with click.open_file(file, "rb") as stream:
            text: str = stream.read(RECIPE.amount + 1).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{written_path(names)}: {file} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name holds a NUL character"
        raise UsageError(f"{written_path(names)}: {file or 'a file without a name'} cannot be read: {reason}") from None
    return text.replace("\r\n", "\n").removesuffix("\n")


def _change(recipe: Path, changes: Sequence[Change], wanted: _Flags) -> None:
    from vmgen_build.cli.check import problems_of
    from vmgen_build.recipe.recipefile import Refused, judge, recipe_file

    with recipe_file(recipe) as file:
        new = file.edited(changes, wanted.force)
        if wanted.diff:
            _show_difference(file.text, new, file.file)
        if not wanted.force and new != file.text:
            try:
                verdict = judge(file.text, new, changes, lambda text: problems_of(recipe, text))
            except Refused as error:
                common.complain(common.error_text(error), fg="red")
                common.complain(f"{recipe} is left as it was (--force writes it all the same)")
                click.get_current_context().exit(error.exit_code)
            for warning in verdict.warnings:
                common.complain(str(warning), fg="yellow")
            if verdict.before:
                mistakes = "a mistake was" if verdict.before == 1 else f"{verdict.before} mistakes were"
                common.complain(f"{recipe}: {mistakes} there before; see 'vmgen-build check --strict {recipe}'")
        if not wanted.diff and new != file.text:
            file.write(new, wanted.backup)
        if not (wanted.diff or wanted.quiet):
            _show_changes(file.text, new, changes, file.file)


def _show_difference(old: str, new: str, file: str) -> None:
    from vmgen_build.recipe.settings import difference

    styles = {"+": {"fg": "green"}, "-": {"fg": "red"}, "@": {"fg": "cyan"}}
    for line in difference(old, new, file):
        common.show(line, **styles.get(line[:1], {}))


def _show_changes(old: str, new: str, changes: Sequence[Change], file: str) -> None:
    from vmgen_build.recipe.settings import outcomes

    for line in outcomes(old, new, changes, file):
        common.show(line)


def main() -> NoReturn:
    sys.exit(entry.run(sys.argv[1:], vmgctl, NAME))


if __name__ == "__main__":
    main()
