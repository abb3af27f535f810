"""Media of Windows, and what goes with them: images of CDs, product keys."""

from __future__ import annotations

import re
from pathlib import Path

from vmgen_build.host.regular import open_regular
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, without_control
from vmgen_build.recipe.types.secrets import fetched
from vmgen_build.recipe.types.sources import open_host_file
from vmgen_build.secret import Secret

_DESCRIPTORS = 16 * 2048
"""Where the volume descriptors of a CD begin: ECMA-119, 6.2.1; ECMA-167, 2/8.1."""

_KINDS = (b"CD001", b"BEA01")
"""Of the first descriptor, behind a byte: ISO 9660, or UDF alone."""

_KEY = re.compile(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}")


def open_iso(value: Value, text: str, ctx: Context) -> Path:
    """The path of an image of a CD that can be read."""
    if not text:
        raise ValueError("names no file; write iso:FILE, with the path of an ISO image")
    path = open_host_file(value, text, ctx)
    try:
        with open_regular(path) as file:
            file.seek(_DESCRIPTORS + 1)
            kind = file.read(5)
    except OSError as error:
        raise ValueError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
    if kind not in _KINDS:
        raise ValueError(f"{shown(text)} is no ISO image; name the file that its publisher gives, with its checksum")
    return path


iso_file = Type(
    "an ISO image, a file of this host", lambda value, ctx: open_iso(value, without_control(value.text), ctx)
)


def _product_key(value: Value, ctx: Context) -> Secret:
    key = fetched(value, ctx).strip().upper()
    if not _KEY.fullmatch(key):
        raise ValueError("is no product key, which is five groups of five letters and digits, with - between them")
    return Secret(key)


product_key = Type("a product key, or env:NAME, or file:PATH", _product_key, private=True)
