"""The command `vmgen-build`."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from vmgen_build import __version__
from vmgen_build.cli.common import CONTEXT, complain, show_error
from vmgen_build.errors import VmgenError
from vmgen_build.host.environment import take_all
from vmgen_build.host.stops import STOP_SIGNALS, ignore_stops, interrupt_once

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE

GROUPS = {
    "Recipes": {
        "init": "init",
        "build": "build",
        "check": "check",
        "compile": "compile",
        "why": "why",
    },
    "Images": {
        "inspect": "inspect",
        "diff": "diff",
        "verify": "verify",
        "audit": "audit",
        "run": "run",
        "shell": "shell",
        "install": "install",
    },
    "What there is": {
        "options": "reference",
        "profiles": "profiles",
        "programs": "reference",
        "systems": "systems",
        "formats": "formats",
    },
    "This host": {
        "cache": "cache",
        "doctor": "doctor",
        "completion": "completion",
    },
}
"""As `--help` shows them: each command and its module in this package, which is imported when it is asked for."""

COMMANDS = {name: module for group in GROUPS.values() for name, module in group.items()}

USUAL = frozenset({"--output", "--backend", "--format", "--set", "--dry-run", "--verbose"})
"""Options of `build` that the first page shows."""

EPILOG = """\b
Examples:
  vmgen-build init lab                 write lab.ini, from a few questions
  vmgen-build check lab.ini            find its mistakes; needs no root
  vmgen-build lab.ini                  as root: an LXC image into output/
  vmgen-build lab.ini -b vmware        as root: an OVA for VMware, VirtualBox
  vmgen-build verify output/lab-lxc-amd64.tar.zst   as root: boot it and look
  vmgen-build run output/lab-lxc-amd64.tar.zst      as root: try it
  vmgen-build why lab.ini              what runs again, and why
  vmgen-build options network          what can stand in [network]

\b
Exit codes:
  0 done; 1 it failed, or this host lacks something; 2 the recipe or the
  command line is wrong; 130 interrupted by Ctrl-C

\b
Each command has more examples: vmgen-build COMMAND --help"""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: undo everything, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Door(click.Group):
    """Commands by name; whatever does not begin with one is a build."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"vmgen_build.cli.{COMMANDS[name]}"), f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--version", *ctx.help_option_names}
        if args and args[0] not in own and args[0] not in COMMANDS:
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[build] [OPTIONS] RECIPE...")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] [ARGUMENTS]", prefix="  or:  ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first; then the options of `build` that most people need: it is what a bare recipe means."""
        self.format_commands(ctx, formatter)
        build = self.get_command(ctx, "build")
        assert build is not None
        with click.Context(build, info_name="build", parent=ctx) as inner:
            usual = [p for p in build.get_params(inner) if USUAL & set(p.opts)]
            records = [record for p in usual if (record := p.get_help_record(inner))]
        version = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))]
        with formatter.section("Options of build; `vmgen-build build --help` has all"):
            formatter.write_dl([*records, *version])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            commands = [(name, command) for name in names if (command := self.get_command(ctx, name))]
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in commands])


@click.group(cls=Door, context_settings=CONTEXT, epilog=EPILOG, no_args_is_help=True)
@click.version_option(__version__, prog_name="vmgen-build")
def door() -> None:
    """Turn a short INI recipe into a machine image that is proven to boot.

    A bare recipe is built: checked first, then step by step in a disposable container, every step's result kept, so
    that the next build only runs what changed. Needs root; 'vmgen-build doctor' says what else this host lacks.
    """


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str], command: click.Command = door, name: str = "vmgen-build") -> int:
    """Run one command line; its exit code. No exception of ours leaves it."""
    _prepare_streams()
    _catch_signals()
    take_all()
    try:
        with command.make_context(name, list(args)) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        written = io.StringIO()
        error.show(written)
        complain(written.getvalue().rstrip("\n"))
        return error.exit_code
    except VmgenError as error:
        show_error(error)
        return error.exit_code
    except Terminated as end:
        _say_left(end)
        return 128 + end.number
    except (KeyboardInterrupt, click.Abort) as end:
        if not _say_left(end):
            click.echo("interrupted; what was begun is undone", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)
        return BROKEN_PIPE
    except Exception as error:
        from vmgen_build.cli.crash import report

        return report(error)


def _say_left(end: BaseException) -> bool:
    """Whether something of an interrupted command is not undone; it is shown then."""
    from vmgen_build.host.undo import failures

    left = failures(end)
    if left:
        complain("\n".join(("interrupted", *left)))
    return bool(left)


def _prepare_streams() -> None:
    """Text that the terminal's encoding lacks is replaced, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _catch_signals() -> None:
    """They undo what was begun; a SIGHUP that nohup(1) switched off stays so."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt_once if number == signal.SIGINT else _terminate)


def _terminate(number: int, _frame: FrameType | None) -> None:
    """The first signal alone: a second one must not cut the undoing short."""
    ignore_stops()
    raise Terminated(number)


def _silence(stream: object) -> None:
    """What is still buffered goes nowhere, so that the interpreter's own flush at exit doesn't fail again."""
    fileno = getattr(stream, "fileno", None)
    if fileno is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), fileno())
