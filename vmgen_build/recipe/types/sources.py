"""Files of the host, addresses of repositories, packages, the operating system."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vmgen_build.host.regular import open_regular
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, each, of_text, without_control

if TYPE_CHECKING:
    from vmgen_build.systems.model import System

SCHEMES = ("http", "https", "ftp", "ftps", "file")


@of_text("an operating system, as debian-12")
def system(value: str) -> System:
    from vmgen_build.systems.parse import parse_system

    return parse_system(value)


def open_host_file(value: Value, text: str, ctx: Context) -> Path:
    """The path of a regular file that can be read."""
    path = ctx.path(value, text)
    try:
        open_regular(path).close()
    except IsADirectoryError:
        raise ValueError(f"{shown(text)} is a folder; name a file") from None
    except FileNotFoundError:
        raise ValueError(f"there is no file {shown(str(path))}; paths start from the recipe's folder") from None
    except OSError as error:
        raise ValueError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
    if _is_of_the_kernel(path):
        raise ValueError(f"{shown(str(path))} is of the kernel; name a file outside of /proc, /sys and /dev")
    return path


def _is_of_the_kernel(path: Path) -> bool:
    """Files there say what the process and the machine are, and some have no end. /dev/shm holds plain files."""
    real = Path(os.path.realpath(path))
    memory = real.is_relative_to("/dev/shm")  # noqa: S108 - nothing is written there
    return not memory and any(real.is_relative_to(place) for place in ("/proc", "/sys", "/dev"))


def _host_file(value: Value, ctx: Context) -> Path:
    return open_host_file(value, without_control(value.text), ctx)


host_file = Type("a file of this host", _host_file)


@of_text("an address: http, https, ftp, ftps or file")
def url(value: str) -> str:
    if re.search(r"\s", without_control(value)):
        raise ValueError(f"{shown(value)} holds white space; write %20 for a space")
    try:
        parts = urlsplit(value)
        whole = bool(parts.path if parts.scheme == "file" else parts.hostname)
        parts.port  # noqa: B018 - raises ValueError for a wrong port
    except ValueError:
        whole = False
    if not whole or parts.scheme not in SCHEMES:
        raise ValueError(f"{shown(value)} is not an address; write one such as https://deb.debian.org/debian")
    return value


@of_text("a line of sources.list(5)")
def repo_line(value: str) -> str:
    """deb [options] url suite component...; the components may be missing where the suite ends in /."""
    if re.match(r"deb(-src)?\s+(\[[^\]]*\]\s+)?cdrom:", value):
        raise ValueError("nobody puts a disc into a guest; write the address of a repository")
    match = re.fullmatch(r"deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)\s*", without_control(value))
    if not match:
        raise ValueError(f"{shown(value)} is not a source line; write deb URL SUITE COMPONENT")
    if not match[3].strip() and not match[2].endswith("/"):
        raise ValueError(f"{shown(value)} names no component; write one after the suite, such as main")
    return value.strip()


_PACKAGE = r"[A-Za-z0-9@][A-Za-z0-9+._@^-]*(:[A-Za-z0-9_+.-]+)?"
"""Of any family; what the one at hand takes is checked by its own."""


def _of_words(value: Value, one: Callable[[str], str]) -> tuple[str, ...]:
    """What `one` makes of each word of each item, each once. Raises ItemError."""
    found = each(value, lambda item: [one(word) for word in item.split()])
    return tuple(dict.fromkeys(name for names in found for name in names))


def _package_name(name: str) -> str:
    from vmgen_build.systems.model import PIN

    if not re.fullmatch(_PACKAGE + PIN, name):
        raise ValueError(f"{shown(name)} is not a package's name; write names separated by commas")
    return name


def _package_names(value: Value, _: Context) -> tuple[str, ...]:
    return _of_words(value, _package_name)


def _packages(value: Value, ctx: Context) -> tuple[str, ...]:
    """A file's path becomes an absolute one, which no name is."""

    def one(word: str) -> str:
        if _is_path(word):
            return str(open_host_file(value, without_control(word), ctx).absolute())
        return _package_name(word)

    return _of_words(value, one)


def _is_path(word: str) -> bool:
    return word.startswith(("./", "../", "/", "~/"))


package_names = Type("names of packages, separated by commas or spaces", _package_names)
packages = Type("names of packages and files of such, separated by commas or spaces", _packages)


def _fingerprints(value: Value, _: Context) -> tuple[str, ...]:
    """Of OpenPGP keys, 40 hexadecimal digits each (RFC 4880, 12.2), or 64; spaces stand for nothing."""
    found = ["".join(item.split()).upper().removeprefix("0X") for item in value.items]
    for item in found:
        if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", item):
            raise ValueError(f"{shown(item)} is no fingerprint of a key; write its 40 hexadecimal digits")
    return tuple(dict.fromkeys(found))


fingerprints = Type("fingerprints of keys, separated by commas", _fingerprints)
