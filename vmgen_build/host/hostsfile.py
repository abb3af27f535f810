"""What a user keeps of hosts that builds go to: ~/.config/vmgen-build/hosts.ini, a section for each by its name."""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.regular import open_regular
from vmgen_build.host.tls import SYSTEM, Trust, parse_thumbprint
from vmgen_build.limits import SECRET_FILE
from vmgen_build.secret import Secret

KEYS = ("user", "password", "cafile", "thumbprint")


@dataclass(frozen=True, slots=True)
class KnownHost:
    """What stands there of a host; "" and None for what does not."""

    user: str = ""
    password: Secret | None = None
    trust: Trust = SYSTEM


def hosts_file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "vmgen-build/hosts.ini"


def known_host(name: str) -> KnownHost:
    """Its section, or nothing. Raises HostError for a file that others can read, and for one that is wrong."""
    path = hosts_file()
    text = _read(path)
    if text is None:
        return KnownHost()
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), default_section="", empty_lines_in_values=False
    )
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise HostError(f"{path}{_line(error)}: {_why(error)}") from None
    for section in parser.sections():
        if section.lower() == name.lower():
            return _known(dict(parser.items(section)), path, section)
    return KnownHost()


def _read(path: Path) -> str | None:
    try:
        with open_regular(path, follow=False) as file:
            _check(os.fstat(file.fileno()), path)
            data = file.read(SECRET_FILE.amount + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > SECRET_FILE.amount:
        raise HostError(f"{path}: {SECRET_FILE.exceeded}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise HostError(f"{path} is not UTF-8 text; write it anew") from None


def _check(status: os.stat_result, path: Path) -> None:
    """Passwords of others are not used, and none that others could have read or written."""
    if status.st_uid != os.geteuid():
        raise HostError(
            f"{path} belongs to the user with the number {status.st_uid}, and this is {os.geteuid()};"
            f" make it yours: chown {os.geteuid()} {path}"
        )
    if stat.S_IMODE(status.st_mode) & 0o177:
        raise HostError(
            f"others may read {path} (its mode is {stat.S_IMODE(status.st_mode):04o}), and it may hold passwords;"
            f" keep it to yourself: chmod 600 {path}"
        )


def _known(values: Mapping[str, str], path: Path, section: str) -> KnownHost:
    unknown = [key for key in values if key not in KEYS]
    if unknown:
        raise HostError(f"{path}: [{section}] {unknown[0]}: there is no such option; there are {', '.join(KEYS)}")
    try:
        thumbprint = parse_thumbprint(values["thumbprint"]) if values.get("thumbprint") else ""
    except ValueError as error:
        raise HostError(f"{path}: [{section}] thumbprint: {error}") from None
    cafile = path.parent / Path(values["cafile"]).expanduser() if values.get("cafile") else None
    password = values.get("password")
    return KnownHost(values.get("user", ""), Secret(password) if password else None, Trust(cafile, thumbprint))


def _line(error: configparser.Error) -> str:
    """Of a message of its own nothing is shown: it repeats the line, which may hold a password."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f":{error.lineno}"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f":{error.errors[0][0]}"
    number = getattr(error, "lineno", None)
    return f":{number}" if number else ""


def _why(error: configparser.Error) -> str:
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "a line before the first [HOST]"
    if isinstance(error, configparser.DuplicateSectionError):
        return "this host has a section already; make them one"
    if isinstance(error, configparser.DuplicateOptionError):
        return "this option stands there twice; leave one out"
    return "a line that is neither [HOST] nor NAME = VALUE"
