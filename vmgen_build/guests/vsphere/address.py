"""--host vsphere://[USER@]NAME[:PORT][/DATACENTER]: what it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from vmgen_build.errors import UsageError

SCHEME = "vsphere://"
PORT = 443
FORM = "write it as vsphere://vcenter.example.org/Datacenter or vsphere://root@esxi.example.org"

_NAME = re.compile(r"\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")


@dataclass(frozen=True, slots=True)
class Address:
    """A vCenter or ESXi as the user named it. name: without the brackets of an IPv6 address. user, datacenter: "" where
    none is named, else as they are called there."""

    name: str
    port: int = PORT
    user: str = ""
    datacenter: str = ""

    def __str__(self) -> str:
        """Without the user: for messages."""
        return f"{SCHEME}{self.host}{f'/{quote(self.datacenter)}' if self.datacenter else ''}"

    @property
    def host(self) -> str:
        """NAME or NAME:PORT, as addresses hold it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == PORT else f"{name}:{self.port}"


def parse_address(text: str) -> Address:
    """A user's own @ and / may be written as they are, or as %40 and %2F. Raises UsageError, with no password in it."""
    rest = text.removeprefix(SCHEME)
    if rest == text:
        raise UsageError(f"--host: this names no vSphere server; {FORM}")
    login, at, place = _split(rest)
    if ":" in login:
        raise UsageError(
            "--host: a password does not belong there, where others see it; put it into $VMGEN_VSPHERE_PASSWORD or"
            " ~/.config/vmgen-build/hosts.ini (docs/vsphere.md), and a colon of the user's name as %3A"
        )
    host, _, datacenter = place.partition("/")
    match = re.fullmatch(rf"(?P<name>{_NAME.pattern})(?::(?P<port>[^:]*))?", host)
    if match is None or (at and not login):
        raise UsageError(f"--host: '{text}' names no vSphere server; {FORM}")
    user, named = _decoded(login, text), _decoded(datacenter.strip("/"), text)
    return Address(match["name"].strip("[]").lower(), _port(match["port"], text), user, named)


def _split(rest: str) -> tuple[str, str, str]:
    """User, @ or "", the rest. The user's own @ (ops@vsphere.local@vcenter) comes first; that of a datacenter's name
    stands behind a slash."""
    head, slash, tail = rest.partition("/")
    login, at, host = head.rpartition("@")
    return login, at, f"{host}{slash}{tail}"


def _port(text: str | None, whole: str) -> int:
    if text is None:
        return PORT
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise UsageError(f"--host: '{whole}': '{text}' is no port: a number from 1 to 65535 is")
    return int(text)


def _decoded(text: str, whole: str) -> str:
    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError(f"--host: '{whole}' is not UTF-8 where its %XX are read") from None
    if value != value.strip() or not value.isprintable() or len(value) > 255:
        raise UsageError(f"--host: '{whole}': a user's or datacenter's name holds what no name does; {FORM}")
    return value
