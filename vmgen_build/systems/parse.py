"""The name of an operating system, as a recipe writes it, to the system that it means."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vmgen_build.systems import families
from vmgen_build.systems.model import Archive, Distribution, Edition, Family, System, WholeMachine

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

_MOST_EXAMPLES = 6
"""Versions that a message lists."""

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
        base="" if _unbuilt(row, version, arch) else row.bases.get(version) or row.bases.get(version.split(".")[0], ""),
        unbuilt=_unbuilt(row, version, arch),
        kernel=_kernel(family, row, version, arch),
        base_packages=_base_packages(family, row, version),
        rpm_macros=row.rpm_macros.get(version.split(".")[0], row.rpm_macros.get("", {})),
        old=_is_old(row, version),
        relatives=_relatives(row, version),
        archives=_archives(family, row, version, arch),
        osinfo=row.osinfo.get(version, row.osinfo.get("", "")).replace("{version}", version),
    )


def _relatives(row: Distribution, version: str) -> tuple[tuple[str, str], ...]:
    rows = {row.name: row for _, row in _distributions()}
    found: dict[str, str] = {}
    while row.relative and row.relative not in found:
        version = row.relative_versions.get(version) or row.relative_versions.get(version.split(".")[0], "")
        found[row.relative] = version
        row = rows.get(row.relative, row)
    return tuple(found.items())


def _unbuilt(row: Distribution, version: str, arch: str) -> str:
    return row.partial.get(f"{version}-{arch}") or row.partial.get(f"-{arch}", "")


def _kernel(family: Family, row: Distribution, version: str, arch: str) -> str:
    whole = family.machine
    if whole is None or (version, arch) in whole.without_kernel or not _is_made(whole, row, version):
        return ""
    return row.kernels.get(arch) or whole.kernels.get(arch, "")


def _is_made(whole: WholeMachine, row: Distribution, version: str) -> bool:
    """Whether whole machines are made of this version."""
    since, first = whole.since.get(row.name), version.split(".")[0]
    return since is None or (since > 0 and first.isdigit() and int(first) >= since)


def _base_packages(family: Family, row: Distribution, version: str) -> tuple[str, ...]:
    instead = row.instead.get(version, {})
    usual = family.old_base_packages if _is_old(row, version) else family.base_packages
    return tuple(filter(None, (instead.get(name, name) for name in usual)))


def _archives(family: Family, row: Distribution, version: str, arch: str) -> tuple[Archive, ...]:
    """Suites and keyrings with the words of this system in place."""
    names = (f"{version}-{arch}", version, f"-{arch}", "")
    own = family.arches.get(arch, arch)
    words = {"codename": row.known.get(version, ""), "version": version, "arch": own, "major": version.split(".")[0]}
    return tuple(
        replace(
            archive,
            suites=tuple(suite.format(**words) for suite in archive.suites),
            keyring=archive.keyring.format(**words),
            host_keys=tuple(path.format(**words) for path in archive.host_keys),
        )
        for archive in next((row.archives[name] for name in names if name in row.archives), ())
    )


def _edition(text: str, family: Family, edition: Edition, rest: Sequence[str]) -> System:
    """Raises ValueError for a kind and for an architecture that there is none of."""
    kind = rest[0] if rest and rest[0] in edition.kinds else ""
    rest = rest[1:] if kind else rest
    if rest and rest[0] not in _ARCHES:
        words = (*edition.kinds, *edition.needs)
        raise ValueError(f"'{rest[0]}' in '{text}' is no {edition.title}; write {edition.name}, with {_either(words)}")
    arch = _ARCHES[rest[0]] if rest else edition.arch
    if arch not in edition.needs:
        raise ValueError(f"there is no {edition.title} for {arch}; write {edition.name}-{next(iter(edition.needs))}")
    return System(
        name=f"{edition.name}-{kind}" if kind else edition.name,
        distribution=family.name,
        version=edition.version,
        codename="",
        arch=arch,
        installer=family.name,
        family=family,
        title=f"{edition.title} {edition.kinds[kind]}" if kind else edition.title,
        generation=edition.generation,
        needs=edition.needs[arch],
        nt=edition.nt,
        server=edition.server,
    )


def _either(words: Sequence[str]) -> str:
    return " or ".join(f"-{word}" for word in words)


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
    if re.fullmatch(row.pattern, word):
        return word
    return word.split(".")[0] if word.split(".")[0] in row.known else None


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
    built = row.bases if len(row.bases) <= _MOST_EXAMPLES else ()
    names = [f"{row.name}-{version}" for version in built] or [row.example]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _near(text: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(text.strip().lower(), known_systems(), n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def _unknown(text: str) -> str:
    near = (
        _near(text)
        or " (known: " + ", ".join(row.name for _, row in _distributions()) + ", windows names such as win11)"
    )
    return f"'{text}' is not a known system; write distribution-version, for example debian-12{near}"
