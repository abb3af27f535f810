"""The operating systems that a recipe can name."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class System:
    """An operating system, as `os = debian-12-amd64` names it.

    name: "debian-12". distribution "debian", version "12", codename "bookworm" ("" where unknown).
    arch: in Debian's words, "amd64"; family: "linux" or "windows"; installer: "apt", "dnf", ..., "windows".
    base: the method that makes its base ("mmdebstrap"), or "" where this version of the tool has none: such a recipe
    can be checked, not built.
    """

    name: str
    distribution: str
    version: str
    codename: str
    arch: str
    family: str
    installer: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class _Distribution:
    """One row of the table of Linux distributions.

    words: further names that mean it. known: version -> code name. pattern: what any other version looks like; such a
    version is accepted without a code name. bases: version -> method. Versions below old use old_installer.
    """

    name: str
    installer: str
    words: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    pattern: str = r"(?!)"
    example: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    old: int = 0
    old_installer: str = ""

    def version(self, word: str) -> str | None:
        """The version that a word means ("bookworm" and "12.5" are "12"), or None."""
        for version, codename in self.known.items():
            if word in (version, codename):
                return version
        if word.split(".")[0] in self.known:
            return word.split(".")[0]
        return word if re.fullmatch(self.pattern, word) else None


_RELEASE = r"[0-9]{1,2}(\.[0-9]{1,2})?"

_DISTRIBUTIONS: tuple[_Distribution, ...] = (
    _Distribution(
        "debian",
        "apt",
        known={
            "6": "squeeze",
            "7": "wheezy",
            "8": "jessie",
            "9": "stretch",
            "10": "buster",
            "11": "bullseye",
            "12": "bookworm",
            "13": "trixie",
            "sid": "sid",
        },
        example="debian-12",
        bases=dict.fromkeys(("11", "12", "13", "sid"), "mmdebstrap"),
    ),
    _Distribution(
        "ubuntu",
        "apt",
        known={
            "10.10": "maverick",
            "12.04": "precise",
            "14.04": "trusty",
            "16.04": "xenial",
            "18.04": "bionic",
            "20.04": "focal",
            "22.04": "jammy",
            "24.04": "noble",
            "25.04": "plucky",
            "25.10": "questing",
            "26.04": "resolute",
        },
        pattern=r"[0-9]{1,2}\.(04|06|10)",
        example="ubuntu-24.04",
    ),
    _Distribution("fedora", "dnf", pattern=r"[0-9]{1,2}", example="fedora-42", old=22, old_installer="yum"),
    _Distribution("centos", "dnf", pattern=_RELEASE, example="centos-9", old=8, old_installer="yum"),
    _Distribution("rhel", "dnf", words=("redhat",), pattern=_RELEASE, example="rhel-9", old=8, old_installer="yum"),
    _Distribution("rocky", "dnf", words=("rockylinux",), pattern=_RELEASE, example="rocky-9"),
    _Distribution("almalinux", "dnf", words=("alma",), pattern=_RELEASE, example="almalinux-9"),
    _Distribution("scientific", "yum", words=("sl",), pattern=_RELEASE, example="scientific-6"),
    _Distribution(
        "opensuse",
        "zypper",
        words=("suse", "opensuseleap"),
        known={"tumbleweed": "tumbleweed"},
        pattern=r"[0-9]{2}\.[0-9]",
        example="opensuse-15.6",
    ),
    _Distribution("arch", "pacman", words=("archlinux",), known={"rolling": "rolling"}, example="arch"),
)

_WINDOWS: Mapping[str, tuple[str, str]] = {
    "winxp": ("xp", "i386"),
    "winxppro": ("xp", "i386"),
    "winvista": ("vista", "amd64"),
    "win7": ("7", "amd64"),
    "win8": ("8", "amd64"),
    "win8.1": ("8.1", "amd64"),
    "win10": ("10", "amd64"),
    "win11": ("11", "amd64"),
    "winsrv2003": ("2003", "i386"),
    "winsrv2008": ("2008", "amd64"),
    "winsrv2008r2": ("2008r2", "amd64"),
    "winsrv2012": ("2012", "amd64"),
    "winsrv2012r2": ("2012r2", "amd64"),
    "winsrv2016": ("2016", "amd64"),
    "winsrv2019": ("2019", "amd64"),
    "winsrv2022": ("2022", "amd64"),
    "winsrv2025": ("2025", "amd64"),
}
"""Name -> version, and the architecture that it has when none is named."""

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


def known_systems() -> tuple[str, ...]:
    """Names that a recipe may use, the ones that can be built first."""
    built = [f"{d.name}-{v}" for d in _DISTRIBUTIONS for v in d.bases]
    named = [f"{d.name}-{v}" for d in _DISTRIBUTIONS for v in d.known] + [d.example for d in _DISTRIBUTIONS]
    return tuple(dict.fromkeys([*built, *named, *_WINDOWS]))


def parse_system(text: str) -> System:
    """The system that `text` names: distribution-version[-architecture], or a Windows name.

    The host's architecture is the default. Raises ValueError, its text saying what would be right.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"'{text[:_LONGEST]}…' is not a known system; write distribution-version, such as debian-12")
    words = text.strip().lower().split("-")
    head = words[0].replace(" ", "")
    if head in _WINDOWS:
        return _windows(text, head, words[1:])
    distribution, rest = _distribution(head, words[1:])
    if distribution is None:
        raise ValueError(_unknown(text))
    version = _take_version(distribution, rest)
    if version is None:
        asked = f"'{rest[0]}' is not a version of {distribution.name}" if rest else f"'{text}' names no version"
        raise ValueError(f"{asked}; write {_examples(distribution)}")
    arch = _arch(text, rest)
    number = re.match(r"\d+", version)
    is_old = number is not None and int(number[0]) < distribution.old
    return System(
        name=f"{distribution.name}-{version}",
        distribution=distribution.name,
        version=version,
        codename=distribution.known.get(version, ""),
        arch=arch,
        family="linux",
        installer=distribution.old_installer if is_old else distribution.installer,
        base=distribution.bases.get(version, ""),
    )


def _windows(text: str, name: str, rest: Sequence[str]) -> System:
    version, arch = _WINDOWS[name]
    return System(
        name=name,
        distribution="windows",
        version=version,
        codename="",
        arch=_arch(text, rest) if rest else arch,
        family="windows",
        installer="windows",
    )


def _distribution(head: str, rest: Sequence[str]) -> tuple[_Distribution | None, list[str]]:
    """The row that a name means, and the words left; "debian12" is read as "debian-12"."""
    glued = re.fullmatch(r"([a-z]+)([0-9][0-9.]*)", head)
    for row in _DISTRIBUTIONS:
        names = (row.name, *row.words)
        if head in names:
            return row, list(rest)
        if glued and glued[1] in names:
            return row, [glued[2], *rest]
    return None, list(rest)


def _take_version(row: _Distribution, rest: list[str]) -> str | None:
    """Takes the version off the front of `rest`; a rolling distribution needs none."""
    if row.name == "opensuse" and rest[:1] == ["leap"]:
        del rest[0]
    version = row.version(rest[0]) if rest else None
    if version is not None:
        del rest[0]
    elif "rolling" in row.known:
        return "rolling"
    return version


def _arch(text: str, rest: Sequence[str]) -> str:
    if not rest:
        return host_arch()
    if rest[0] in _ARCHES:
        return _ARCHES[rest[0]]
    if all(word in _VARIANTS for word in rest):
        return host_arch()
    raise ValueError(f"'{rest[0]}' in '{text}' is not an architecture; write amd64, i386 or arm64")


def _examples(row: _Distribution) -> str:
    names = [f"{row.name}-{version}" for version in row.bases] or [row.example]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _near(text: str) -> str:
    near = get_close_matches(text.strip().lower(), known_systems(), n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def _unknown(text: str) -> str:
    near = (
        _near(text)
        or " (known: " + ", ".join(dict.fromkeys(d.name for d in _DISTRIBUTIONS)) + ", windows names such as win11)"
    )
    return f"'{text}' is not a known system; write distribution-version, for example debian-12{near}"
