"""Source lists of a recipe's own, as files: .list and .sources. Format: sources.list(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

from vmgen_build.bases.apt.archive import AptSource

_LINE = re.compile(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)([^#]*)(?:#.*)?")
_ASKED = re.compile(r"(https?://|file:|copy:)\S+")
"""Addresses that this host can ask."""

_OFF = ("no", "false", "without", "off", "disable", "0")


def sources_in(text: str, arch: str) -> list[AptSource]:
    """The binary sources that are switched on. arch: what stands for $(ARCH).

    Who signs them is for the guest to check, by what the file names or by the keys that it trusts.
    """
    deb822 = re.search(r"(?im)^Types\s*:", text)
    found = _of_stanzas(text) if deb822 else _of_lines(text)
    filled = [(uri.replace("$(ARCH)", arch), suite.replace("$(ARCH)", arch), parts) for uri, suite, parts in found]
    whole = [(uri, suite, parts) for uri, suite, parts in filled if suite.endswith("/") or parts]
    return [AptSource(uri.rstrip("/"), suite, parts) for uri, suite, parts in whole if _ASKED.fullmatch(uri)]


def _of_lines(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        yield match[1], match[2], tuple(match[3].split())


def _of_stanzas(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields = _fields(stanza)
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _OFF:
            places = product(fields.get("uris", "").split(), fields.get("suites", "").split())
            yield from ((uri, suite, tuple(fields.get("components", "").split())) for uri, suite in places)


def _fields(stanza: str) -> Mapping[str, str]:
    """By their names in small letters. A value goes on in lines that begin with a blank."""
    found = re.findall(r"(?m)^([A-Za-z-]+)[ \t]*:((?:.*)(?:\n[ \t].*)*)", stanza)
    return {name.lower(): value.strip() for name, value in found}
