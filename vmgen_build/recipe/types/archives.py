"""What a recipe says of a program that is built from its source."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, each, list_of, of_text, without_control
from vmgen_build.recipe.types.sources import open_host_file, url

_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|timer|path|target|mount|automount|swap|slice|device|scope)"
)
"""systemd.unit(5)."""


def _web_address(text: str) -> str:
    found = url.read(Value("", text, (text,), "", 0), Context())
    if urlsplit(found).scheme not in ("http", "https"):
        raise ValueError(f"{shown(text)} is fetched neither by http nor by https; write such an address, or use file")
    if "@" in urlsplit(found).netloc:
        raise ValueError("a user or password in the address would be seen in the plan; take it out, or use file")
    return found


web_addresses = list_of("addresses of one file by http or https, comma-separated: tried in order", _web_address)


def _host_files(value: Value, ctx: Context) -> tuple[Path, ...]:
    return tuple(each(value, lambda item: open_host_file(value, without_control(item), ctx)))


host_files = Type("files of this host, comma-separated", _host_files)


@of_text("words as a shell splits them: blanks between, quotes around those that hold blanks")
def arguments(value: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(without_control(value)))
    except ValueError as error:
        raise ValueError(f"{shown(value)} has a quote without its partner; add it") from error


def _command(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", text):
        raise ValueError(f"{shown(text)} is no command's name; write it without its folder, such as hello")
    return text


commands = list_of("names of commands, comma-separated", _command, unique=True)


def _unit(text: str) -> str:
    if not _UNIT.fullmatch(text):
        raise ValueError(f"{shown(text)} is no systemd unit; write it with its ending, such as hello.service")
    return text


units = list_of("systemd units, comma-separated", _unit, unique=True)


def _folder(text: str) -> str:
    plain = without_control(text)
    if not re.fullmatch(r"/[A-Za-z0-9_.+@-]+(/[A-Za-z0-9_.+@-]+)*", plain) or "/.." in plain or "/./" in f"{plain}/":
        raise ValueError(f"{shown(text)} is no folder to install into; write one such as /usr/local or /opt/hello")
    return plain


prefix = of_text("a folder of the guest, of plain characters")(_folder)


@of_text("letters, digits, dots, _ and -")
def program(value: str) -> str:
    """The name of a section that becomes part of the path that its program is built in."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}", value):
        raise ValueError(
            f"{shown(value)} cannot be the name of a program; write up to 63 letters, digits, dots, _, + and -,"
            " beginning with a letter or digit"
        )
    return value
