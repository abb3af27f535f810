"""What the commands share: options, the display, how errors are shown."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from vmgen_build.errors import Problem, RecipeError, UsageError, VmgenError
from vmgen_build.text import broken, clean, table, without_passwords

if TYPE_CHECKING:
    from vmgen_build.cli.plain import Plain
    from vmgen_build.events import Bus

Command = TypeVar("Command", bound=Callable[..., Any])

SHARED = "vmgen_build.shared_cache"
"""Key of click's Context.meta: --cache is looked at in its light."""

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def default_cache() -> Path:
    """$VMGEN_CACHE; cache/ of the checkout that the tool runs from; else $XDG_CACHE_HOME/vmgen-build."""
    named = os.environ.get("VMGEN_CACHE")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "vmgen-build"


def check_compression(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The value as given; raises UsageError for one that no packer takes."""
    from vmgen_build.artifacts.compression import parse_compression

    parse_compression(value)
    return value


def parse_backends(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Each backend once; lxc where none is named. Raises UsageError for one that there is not."""
    if not values:
        return ("lxc",)
    from vmgen_build.backends.registry import backend_named

    for value in values:
        backend_named(value)
    return tuple(dict.fromkeys(values))


def check_cache_option(context: click.Context, _option: click.Parameter, value: Path) -> Path:
    """The folder as given. Raises HostError where it may not serve as a cache."""
    from vmgen_build.store.cachedir import check_cache

    check_cache(value, shared=bool(context.meta.get(SHARED)))
    return value


def note_shared_cache(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.meta[SHARED] = value


def shared_cache() -> bool:
    """Whether --shared-cache was given to the command at work."""
    return bool(click.get_current_context().meta.get(SHARED))


def _cache_option(callback: Callable[[click.Context, click.Parameter, Path], Path] | None) -> Callable[[Any], Any]:
    return click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
        default=default_cache,
        metavar="DIR",
        callback=callback,
        help="Where results of steps and downloads are kept: $VMGEN_CACHE by default, else cache/ of the checkout, else"
        " ~/.cache/vmgen-build.",
    )


unchecked_cache_option = _cache_option(None)
_checked_cache_option = _cache_option(check_cache_option)
_shared_cache_option = click.option(
    "--shared-cache",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=note_shared_cache,
    help="Use a cache that others can change; each layer's owner and digest are checked before it is used.",
)


def cache_option(command: Command) -> Command:
    """--cache, which the command gets as `cache`, and --shared-cache: see `shared_cache`."""
    return cast(Command, _shared_cache_option(_checked_cache_option(command)))


sets_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Set an option over the recipe's own, as in hardware.os=debian-12; may be repeated.",
)
strict_option = click.option("--strict", is_flag=True, help="Unknown options and programs are errors, not warnings.")
templates_option = click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Templates that replace single ones of the tool; templates/ beside the recipe by default.",
)
backend_option = click.option(
    "-b",
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    callback=parse_backends,
    help="What to make: lxc by default; may be repeated. 'vmgen-build doctor' lists all backends.",
)
trusted_option = click.option(
    "--trusted",
    is_flag=True,
    help="Boot a container as root of this host, not in a user namespace; for images of your own alone.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("output"),
    show_default=True,
    metavar="DIR",
    help="Where the images go.",
)
offline_option = click.option(
    "--offline", is_flag=True, help="Ask nothing of the network: use what is in the cache. No step reaches it."
)
recipe_path = click.Path(path_type=Path)


def display_options(command: Command) -> Command:
    """--json, -q and -v."""
    command = loudness_options(command)
    return click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one object a line.")(command)


def loudness_options(command: Command) -> Command:
    """-q and -v."""
    command = click.option("-v", "--verbose", is_flag=True, help="Show every line that the steps print.")(command)
    return click.option("-q", "--quiet", is_flag=True, help="Show errors and results only.")(command)


def check_image_server(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The value as given, or the default one. Raises UsageError."""
    from vmgen_build.bases.imageserver import DEFAULT_URL, ImageServer

    return ImageServer(value or DEFAULT_URL).url


image_server_option = click.option(
    "--image-server",
    default="",
    metavar="URL",
    callback=check_image_server,
    help="Where bases are looked for that the recipe names as images:ALIAS, and those of systems that are not made of"
    " packages here; https://images.linuxcontainers.org by default.",
)


def ostemplate_options(command: Command) -> Command:
    """--ostemplate and --ostemplate-url, -sha256 and -keyring; the command gets a OsTemplateChoice as `ostemplate`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> Any:
        from vmgen_build.bases.ostemplate import DEFAULT_URL, OsTemplateChoice

        choice = OsTemplateChoice(
            url=values.pop("ostemplate_url") or DEFAULT_URL,
            name=values.pop("ostemplate"),
            sha256=values.pop("ostemplate_sha256"),
            keyring=values.pop("ostemplate_keyring"),
        )
        return command(*args, ostemplate=choice, **values)

    keyring = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--ostemplate-keyring", type=keyring, metavar="FILE", help="The keys that may have signed it."),
        click.option("--ostemplate-sha256", default="", metavar="HEX", help="The checksum that it must have."),
        click.option(
            "--ostemplate-url",
            default="",
            metavar="URL",
            help="Where it is downloaded from where it is not there: the folder that holds precreated/;"
            " http://download.openvz.org/template by default.",
        ),
        click.option(
            "--ostemplate",
            default="",
            metavar="NAME",
            help="The OS template to start from; on an OpenVZ node by default that of [hardware] os, such as"
            " debian-12-x86_64.",
        ),
    ):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


def open_display(*, as_json: bool, quiet: bool, verbose: bool) -> tuple[Plain, Bus]:
    """The display (close it at the end) and the bus that it listens to."""
    from vmgen_build.cli.plain import Plain, Verbosity
    from vmgen_build.events import Bus

    if as_json:
        from vmgen_build.cli.jsonlines import JsonLines

        errors = Plain(sys.stderr, Verbosity.QUIET)
        return errors, Bus(JsonLines(sys.stdout), errors)
    verbosity = Verbosity.VERBOSE if verbose else Verbosity.NORMAL
    verbosity = Verbosity.QUIET if quiet else verbosity
    if is_terminal(sys.stderr):
        from vmgen_build.cli.terminal import Terminal

        screen: Plain = Terminal(sys.stderr, verbosity, has_colour(sys.stderr))
    else:
        from vmgen_build.cli.ci import folding

        screen = folding(os.environ)(sys.stderr, verbosity, stamps=not sys.stderr.isatty())
    return screen, Bus(screen)


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """https://no-color.org: NO_COLOR, when present and not empty, switches colours off."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def show(text: str = "", **style: Any) -> None:
    """One line of a result, on standard output, made safe."""
    text = clean(text)
    click.echo(click.style(text, **style) if style and has_colour(sys.stdout) else text, color=True)


def show_rows(rows: Sequence[tuple[str, ...]], styles: Iterable[dict[str, Any]]) -> None:
    """A table; on a terminal its last column is broken where the window ends. styles: of each row."""
    if is_terminal(sys.stdout):
        shown = broken(rows, shutil.get_terminal_size().columns)
    else:
        shown = [[line] for line in table(rows)]
    for lines, style in zip(shown, styles, strict=True):
        for line in lines:
            show(line, **style)


def show_wrapped(text: str, head: str = "", hang: str = "", **style: Any) -> None:
    """A result of several words, in lines of at most 80 columns. head: what the first begins with; hang: the others."""
    import textwrap

    lines = textwrap.wrap(clean(text), 80, initial_indent=head, subsequent_indent=hang, break_on_hyphens=False)
    for line in lines or [head.rstrip()]:
        show(line, **style)


def complain(text: str, **style: Any) -> None:
    """Lines on standard error, each made safe: what others wrote may stand in any message."""
    for line in without_passwords(text).split("\n"):
        safe = clean(line)
        click.echo(click.style(safe, **style) if style and has_colour(sys.stderr) else safe, err=True, color=True)


def error_text(error: VmgenError) -> str:
    """As it is shown: a recipe's problems begin with their place, all others with "error:"; each line is safe."""
    text = f"error: {error}"
    if isinstance(error, RecipeError):
        text = "\n".join((*map(str, (*error.problems, *error.warnings)), *error.left))
    return "\n".join(map(clean, without_passwords(text).split("\n")))


def show_problems(problems: Iterable[Problem]) -> None:
    """On standard error, each with the line of the recipe that it is about."""
    found = list(problems)
    if not found:
        return
    from vmgen_build.cli.problems import PIPED_WIDTH, lines

    width = shutil.get_terminal_size().columns if is_terminal(sys.stderr) else PIPED_WIDTH
    colour = has_colour(sys.stderr)
    for line in lines(found, width):
        shown = "".join(click.style(piece, **style) if colour and piece and style else piece for piece, style in line)
        click.echo(shown, err=True, color=True)


def show_error(error: VmgenError) -> None:
    """On standard error, and whatever of the work is not undone."""
    if isinstance(error, RecipeError):
        show_problems((*error.problems, *error.warnings))
        for line in error.left:
            complain(line)
    else:
        complain(error_text(error))
        annotate(error)


def annotate(error: VmgenError) -> None:
    """Show it at its line, where GitHub runs us; its text is shown by itself."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from vmgen_build.cli.ci import commands

        for line in commands(error):
            complain(line)


def parse_bytes(text: str) -> int:
    """20G, 500M, 1.5T or plain bytes; K, M, G and T are powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(?:i?B)?", text.strip())
    if match is None:
        raise UsageError(f"'{text}' is no size; write it as 500M or 20G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def parse_age(text: str) -> float:
    """30d, 12h, 2w, 45m or 10s, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip())
    if match is None:
        raise UsageError(f"'{text}' is no age; write it as 12h, 30d or 2w")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
