"""Which Windows a medium of it installs: the images in its sources/install.wim, as that says itself ("Windows Imaging
File Format (WIM)", Microsoft; an .esd begins alike)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from vmgen_build.artifacts.media.udf import Udf
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import WIM_TEXT
from vmgen_build.text import clean

_FILES = ("sources/install.wim", "sources/install.esd")
_MAGIC = b"MSWIM\0\0\0"
_TEXT = 72
"""Where the header says where the text lies: 7 bytes of its size, flags, 8 bytes of its place."""

_IMAGE, _END = re.compile(r'(\d{1,4})">'), "</IMAGE>"
"""What follows the last `<IMAGE INDEX="` before an end: with one expression for all, a text of mere beginnings would
take a time that grows with its square."""

ARCHES = {"0": "i386", "9": "amd64", "12": "arm64"}
"""PROCESSOR_ARCHITECTURE_… of winnt.h -> Debian's word."""


@dataclass(frozen=True, slots=True)
class WindowsImage:
    """number, name: either names it for Setup. arch: in Debian's words; nt: version of its kernel; "" and None where it
    does not say so."""

    number: int
    name: str
    arch: str
    nt: tuple[int, int] | None


def windows_images(medium: Path) -> tuple[WindowsImage, ...] | None:
    """None where the medium cannot be read so: older than Vista, without UDF, or damaged. Raises OSError."""
    try:
        with open_regular(medium) as file:
            udf = Udf(file)
            found = next((one for name in _FILES if (one := udf.find(name)) is not None), None)
            if found is None:
                return None
            head = udf.read(found, 0, _TEXT + 16)
            size, place = (
                int.from_bytes(head[at : at + length], "little") for at, length in ((_TEXT, 7), (_TEXT + 8, 8))
            )
            if not head.startswith(_MAGIC) or size > WIM_TEXT.amount:
                return None
            data = udf.read(found, place, size)
            if len(data) != size:
                return None
    except ValueError:
        return None
    return tuple(_images(data.decode("utf-16", "replace")))


def _images(text: str) -> Iterator[WindowsImage]:
    for part in text.split(_END)[:-1]:
        body = part.rpartition('<IMAGE INDEX="')[2]
        if number := _IMAGE.match(body):
            yield _image(int(number[1]), body[number.end() :])


def _image(number: int, body: str) -> WindowsImage:
    major, minor = _value(body, "MAJOR"), _value(body, "MINOR")
    nt = (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
    return WindowsImage(number, _value(body, "NAME"), ARCHES.get(_value(body, "ARCH"), ""), nt)


def _value(body: str, element: str) -> str:
    match = re.search(rf"<{element}>([^<]{{0,200}})</{element}>", body)
    return clean(unescape(match[1])).strip() if match else ""
