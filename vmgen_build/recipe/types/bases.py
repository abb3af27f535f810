"""What a recipe names as its base."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, of_text, without_control
from vmgen_build.recipe.types.media import open_iso
from vmgen_build.recipe.types.sources import open_host_file, url
from vmgen_build.text import without_passwords

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._+-]{0,63}){0,4}")
_TEMPLATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_MACHINE = re.compile(r"[^\x00-\x1f\x7f@]{1,200}(@[^\x00-\x1f\x7f@]{1,80})?")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{1,30}):")
_ELSEWHERE = {
    "docker": "no registry is asked; make a folder of it (skopeo copy docker://NAME oci:FOLDER), and name the folder",
    "oci": "write the folder alone",
    "oci-archive": "write the file alone",
    "docker-archive": "write the file alone",
}
"""Schemes that people know of other tools -> what to write here."""

_FORMS = "a file or folder, http://…, https://…, images:ALIAS, template:NAME, vm:NAME or iso:FILE"


@dataclass(frozen=True, slots=True)
class BaseSource:
    """kind: "file" (of this host, or a folder), "url", "images" (an alias of an image server), "template" (an OS
    template of OpenVZ), "vm" (a machine of a vSphere server) or "iso" (a medium that Windows is installed from, as a
    file of this host). name: the path, address, alias or name; an address may hold a password."""

    kind: str
    name: str = field(repr=False)

    def __str__(self) -> str:
        """As a recipe writes it, without a password."""
        return without_passwords(self.name) if self.kind in ("file", "url") else f"{self.kind}:{self.name}"

    @property
    def machine(self) -> str:
        """Of a "vm": its name or path on the server."""
        return self.name.partition("@")[0]

    @property
    def snapshot(self) -> str:
        """Of a "vm": the name of its snapshot; "" for the state that it is in."""
        return self.name.partition("@")[2]


def _base(value: Value, ctx: Context) -> BaseSource:
    text = without_control(value.text)
    scheme = match[1] if (match := _SCHEME.match(text)) else ""
    if scheme in ("http", "https"):
        return BaseSource("url", url.read(value, ctx))
    if scheme == "file":
        return _on_this_host(value, unquote(urlsplit(text).path), ctx)
    if scheme == "images":
        return BaseSource("images", _named(_ALIAS, text, "an alias of an image server, such as images:debian/12"))
    if scheme == "template":
        return BaseSource("template", _named(_TEMPLATE, text, "an OS template, such as template:debian-12-x86_64"))
    if scheme == "vm":
        return machine_source(text)
    if scheme == "iso":
        return BaseSource("iso", str(open_iso(value, text.partition(":")[2].strip(), ctx).absolute()))
    if scheme:
        raise ValueError(f"{shown(without_passwords(text))} is no base; {_ELSEWHERE.get(scheme, f'write {_FORMS}')}")
    return _on_this_host(value, text, ctx)


def machine_source(text: str) -> BaseSource:
    """Of vm:NAME or vm:NAME@SNAPSHOT. Raises ValueError."""
    example = "a machine, or one's snapshot, such as vm:Lab/debian@clean"
    if not text.startswith("vm:"):
        raise ValueError(f"{shown(text)} does not name {example}")
    return BaseSource("vm", _named(_MACHINE, text, example))


def _named(form: re.Pattern[str], text: str, what: str) -> str:
    name = text.partition(":")[2].strip()
    if not form.fullmatch(name):
        raise ValueError(f"{shown(text)} does not name {what}")
    return name


def _on_this_host(value: Value, text: str, ctx: Context) -> BaseSource:
    path = ctx.path(value, text)
    found = path if path.is_dir() else open_host_file(value, text, ctx)
    return BaseSource("file", str(Path(found).absolute()))


base = Type(_FORMS, _base)


@of_text("a SHA-256: 64 hexadecimal digits")
def sha256(value: str) -> str:
    """In lower case."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError(f"{shown(value)} is no SHA-256, which has 64 hexadecimal digits; sha256sum prints it")
    return value.lower()
