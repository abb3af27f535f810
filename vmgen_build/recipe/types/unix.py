"""What Linux takes: names, paths, owners, modes, locales."""

from __future__ import annotations

import re
from dataclasses import replace

from vmgen_build.catalogue.regions import known_locales, known_zones
from vmgen_build.recipe.problems import did_you_mean, shown
from vmgen_build.recipe.types.base import Type, choice, list_of, of_text, without_control


def parse_unix_name(value: str) -> str:
    """What useradd(8) and groupadd(8) take."""
    if len(value) > 32:
        raise ValueError(f"{shown(value)} is longer than the 32 characters that a name may have")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*\$?", value):
        raise ValueError(
            f"{shown(value)} is not a name that useradd takes; "
            "write lower-case letters, digits, _ and -, beginning with a letter or _"
        )
    return value


unix_name = of_text("a name")(parse_unix_name)
unix_names = list_of("names, comma-separated", parse_unix_name, unique=True)


@of_text("a user's name")
def login_name(value: str) -> str:
    """Of an account that is there already, on any system."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,103}", value):
        raise ValueError(f"{shown(value)} is not the name of a user; write one such as root or Administrator")
    return value


@of_text("a name, or a number for OpenVZ")
def machine_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise ValueError(
            f"{shown(value)} is not a machine's name; write up to 63 letters, digits, dots, _ and -, "
            "beginning with a letter or digit"
        )
    return value


@of_text("a host name")
def hostname(value: str) -> str:
    """RFC 1123 section 2.1, and the 64 bytes of Linux's HOST_NAME_MAX."""
    label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if len(value) > 64 or not re.fullmatch(rf"{label}(\.{label})*", value):
        raise ValueError(
            f"{shown(value)} is not a host name; write up to 63 letters, digits and -, "
            "beginning and ending with a letter or digit, and a domain after a dot"
        )
    return value


def is_windows_path(value: str) -> bool:
    """Whether it begins with a drive: "D:", r"C:\\lab", "C:/lab"."""
    return re.match(r"[A-Za-z]:(?:[\\/]|\Z)", value) is not None


def parse_guest_path(value: str) -> str:
    """Of Linux or of Windows: recipe.checks.paths knows which one it must be."""
    without_control(value)
    if not value.startswith("/") and not is_windows_path(value):
        raise ValueError(f"{shown(value)} is not an absolute path; begin it with /")
    if ".." in re.split(r"[\\/]" if is_windows_path(value) else "/", value):
        raise ValueError(f"{shown(value)} goes up by ..; write the path without it")
    return value


guest_path = of_text("an absolute path")(parse_guest_path)


@of_text("an absolute path")
def account_path(value: str) -> str:
    """A path that stands in passwd(5), whose fields end at a colon."""
    return without_control(parse_guest_path(value), ":")


@of_text("text of one line without a colon")
def gecos(value: str) -> str:
    return without_control(value, ":")


@of_text("user[:group], by names or numbers")
def owner(value: str) -> str:
    parts = value.split(":")
    if len(parts) > 2:
        raise ValueError(f"{shown(value)} is not an owner; write user or user:group")
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,10}", part):
            parse_unix_name(part)
    return value


def _file_mode(value: str) -> int:
    match = re.fullmatch(r"(?:0o)?([0-7]{1,5})", value)
    if not match or int(match[1], 8) > 0o7777:
        raise ValueError(f"{shown(value)} is not a file mode; write octal digits, such as 0644")
    return int(match[1], 8)


file_mode = Type("a mode in octal digits", lambda value, _: _file_mode(value.text), lambda mode: f"{mode:04o}")

_SUDO = choice("yes", "no", "nopasswd")
_SUDO_WORDS = {"1": "yes", "true": "yes", "on": "yes", "0": "no", "false": "no", "off": "no"}
sudo = replace(
    Type(_SUDO.takes, lambda value, ctx: _SUDO_WORDS.get(value.text.lower()) or _SUDO.read(value, ctx)),
    choices=_SUDO.choices,
    spellings=tuple(_SUDO_WORDS),
)


@of_text("a time zone, as Europe/Bucharest")
def timezone(value: str) -> str:
    """A name of the tz database."""
    if not re.fullmatch(r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+){0,2}", value):
        raise ValueError(f"{shown(value)} is not a time zone; write Area/City, such as Europe/Bucharest")
    if value not in known_zones():
        near = did_you_mean(value, known_zones())
        raise ValueError(f"{shown(value)} is no time zone that is known{near or '; write Area/City'}")
    return value


@of_text("a locale, as en_US.UTF-8")
def locale(value: str) -> str:
    match = re.fullmatch(r"(C|POSIX|[a-z]{2,3}_[A-Z]{2})(\.[A-Za-z0-9-]+)?(@[a-z]+)?", value)
    if not match:
        raise ValueError(f"{shown(value)} is not a locale; write language_COUNTRY.UTF-8, such as en_US.UTF-8")
    name, charset, modifier = match.groups("")
    if name in ("C", "POSIX") and not charset:
        return name
    if not charset and not modifier:
        raise ValueError(f"{shown(value)} names no character set; write {value}.UTF-8")
    whole = name + (".UTF-8" if charset.lower() in (".utf8", ".utf-8") else charset) + modifier
    if name not in ("C", "POSIX") and whole not in known_locales():
        raise ValueError(f"{shown(value)} is no locale that is known{did_you_mean(whole, known_locales())}")
    return whole


@of_text("a layout[:variant]")
def keyboard(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*(:[a-z0-9_-]+)?", value):
        raise ValueError(f"{shown(value)} is not a keyboard layout; write a layout such as us, or layout:variant")
    return value
