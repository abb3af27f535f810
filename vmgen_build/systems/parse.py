"""The name of an operating system, as a recipe writes it, to the system that it means."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from vmgen_build.systems import families
from vmgen_build.systems.model import Archive, Distribution, Edition, Family, System

_ARCHES: Mapping[str, str] = {
    "amd64": "amd64",
    "x86_64": "amd64",
    "x64": "amd64",
    "64": "amd64",
    "64bit": "amd64",
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "x86": "i386",
    "ia32": "i386",
    "32": "i386",
    "32bit": "i386",
    "arm64": "arm64",
    "aarch64": "arm64",
}

_LONGEST = 64
"""Characters of a name; a longer one is not compared with the known ones."""

_VARIANTS = frozenset({"minimal", "standard", "default", "server", "desktop", "devel", "cloud", "vmgen"})
"""Last parts of OpenVZ template names (debian-12-minimal); they do not change the system."""


def host_arch() -> str:
    """This machine's architecture in Debian's words; amd64 where it is none that a recipe can name."""
    return _ARCHES.get(platform.machine().lower(), "amd64")


def architectures() -> tuple[str, ...]:
    """Those of machines, in Debian's words."""
    return tuple(dict.fromkeys(_ARCHES.values()))


def known_systems() -> tuple[str, ...]:
    """Names that a recipe may use, the ones that can be built first."""
    rows = [row for _, row in _distributions()]
    built = [f"{row.name}-{version}" for row in rows for version in row.bases]
    named = [f"{row.name}-{version}" for row in rows for version in row.known] + [row.example for row in rows]
    editions = [edition.name for family in families() for edition in family.editions]
    return tuple(dict.fromkeys([*built, *named, *editions]))


def parse_system(text: str) -> System:
    """The system that `text` names: distribution-version[-architecture], or the name of an edition.

    The host's architecture is the default. Raises ValueError, its text saying what would be right.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"'{text[:_LONGEST]}…' is not a known system; write distribution-version, such as debian-12")
    head, *rest = text.strip().lower().split("-")
    head = head.replace(" ", "")
    for family in families():
        for edition in family.editions:
            if edition.name == head:
                return _edition(text, family, edition, rest)
    found = _distribution(head, rest)
    if found is None:
        raise ValueError(_unknown(text))
    family, row, words = found
    version, words = _split_version(row, words)
    if not version:
        asked = f"'{words[0]}' is not a version of {row.name}" if words else f"'{text}' names no version"
        raise ValueError(f"{asked}; write {_examples(row)}")
    return _system(family, row, version, _arch(text, words))


def _system(family: Family, row: Distribution, version: str, arch: str) -> System:
    return System(
        name=f"{row.name}-{version}",
        distribution=row.name,
        version=version,
        codename=row.known.get(version, ""),
        arch=arch,
        installer=row.old_installer if _is_old(row, version) else row.installer,
        family=family,
        base=row.bases.get(version, ""),
        relative=row.relative,
        relative_version=row.relative_versions.get(version, ""),
        archives=_archives(row, version),
    )


def _archives(row: Distribution, version: str) -> tuple[Archive, ...]:
    codename = row.known.get(version, "")
    return tuple(
        replace(archive, suites=tuple(suite.format(codename=codename) for suite in archive.suites))
        for archive in row.archives.get(version, row.archives.get("", ()))
    )


def _edition(text: str, family: Family, edition: Edition, rest: Sequence[str]) -> System:
    return System(
        name=edition.name,
        distribution=family.name,
        version=edition.version,
        codename="",
        arch=_arch(text, rest) if rest else edition.arch,
        installer=family.name,
        family=family,
    )


def _distributions() -> list[tuple[Family, Distribution]]:
    return [(family, row) for family in families() for row in family.distributions]


def _distribution(head: str, rest: Sequence[str]) -> tuple[Family, Distribution, Sequence[str]] | None:
    """What a name means, and the words left; "debian12" is read as "debian-12"."""
    glued = re.fullmatch(r"([a-z]+)([0-9][0-9.]*)", head)
    for family, row in _distributions():
        names = (row.name, *row.words)
        if head in names:
            return family, row, rest
        if glued and glued[1] in names:
            return family, row, [glued[2], *rest]
    return None


def _split_version(row: Distribution, words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The version that the first of the words name, "" where they name none, and the words after it."""
    if words and words[0] in row.fillers:
        words = words[1:]
    version = _version(row, words[0]) if words else None
    return (version, words[1:]) if version else (row.rolling, words)


def _version(row: Distribution, word: str) -> str | None:
    """The version that a word means ("bookworm" and "12.5" are "12"), or None."""
    for version, codename in row.known.items():
        if word in (version, codename):
            return version
    if word.split(".")[0] in row.known:
        return word.split(".")[0]
    return word if re.fullmatch(row.pattern, word) else None


def _is_old(row: Distribution, version: str) -> bool:
    number = re.match(r"\d+", version)
    return number is not None and int(number[0]) < row.old


def _arch(text: str, rest: Sequence[str]) -> str:
    if not rest:
        return host_arch()
    if rest[0] in _ARCHES:
        return _ARCHES[rest[0]]
    if all(word in _VARIANTS for word in rest):
        return host_arch()
    raise ValueError(f"'{rest[0]}' in '{text}' is not an architecture; write amd64, i386 or arm64")


def _examples(row: Distribution) -> str:
    names = [f"{row.name}-{version}" for version in row.bases] or [row.example]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _near(text: str) -> str:
    near = get_close_matches(text.strip().lower(), known_systems(), n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def _unknown(text: str) -> str:
    near = (
        _near(text)
        or " (known: " + ", ".join(row.name for _, row in _distributions()) + ", windows names such as win11)"
    )
    return f"'{text}' is not a known system; write distribution-version, for example debian-12{near}"
