"""Which system a root of others is, as its own files say: os-release(5), and what systems had before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.host.beneath import file_beneath, text_beneath
from vmgen_build.host.system import parse_os_release
from vmgen_build.limits import TREE_FILE
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system
from vmgen_build.text import clean

_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_RELEASES = ("etc/fedora-release", "etc/centos-release", "etc/redhat-release", "etc/SuSE-release")
"""A line such as "CentOS Linux release 7.9.2009 (Core)"."""

_RELEASE = re.compile(r"(?P<name>[A-Za-z ]+?) (?:release )?(?P<version>[0-9]+(?:\.[0-9]+)*)")
_NAMES = {"red": "rhel", "scientific": "scientific", "opensuse": "opensuse"}
"""First word of such a line, in lower case -> the distribution's name, where they differ."""

_PROGRAMS = ("bin/sh", "usr/bin/sh", "bin/bash", "usr/bin/env", "sbin/init", "usr/bin/ls", "bin/busybox")
_MACHINES = {0x3E: "amd64", 0x03: "i386", 0xB7: "arm64"}
"""e_machine of elf(5): EM_X86_64, EM_386, EM_AARCH64."""


@dataclass(frozen=True, slots=True)
class Identity:
    """distribution, version: as a recipe names them, "" for what is not known; shown: the root's own words."""

    distribution: str
    version: str
    shown: str


def wrong_system(root: Path, system: System) -> str:
    """Why a root is not one of this system, as the end of a sentence about it; "" where it is."""
    found = identity(root)
    if found is None:
        return "does not say of which system it is (it has no etc/os-release); write another base"
    if not _fits(found, system):
        return _other(found, system)
    arch = architecture(root)
    if arch and arch != system.arch:
        return f"is for {arch}, and [hardware] os says {system.arch}; write the right one of them"
    return ""


def wrong_release(text: str, debian_version: str, system: System) -> str:
    """The same of a system that runs, by its os-release(5) and /etc/debian_version."""
    if not text.strip():
        return "does not say of which system it is (it has no etc/os-release); write another base"
    found = _of_os_release(text, debian_version.strip())
    return "" if _fits(found, system) else _other(found, system)


def _other(found: Identity, system: System) -> str:
    return f"is of {found.shown}, and [hardware] os says {system.name}; write the right one of them"


def identity(root: Path) -> Identity | None:
    """None where the root does not say."""
    for name in _OS_RELEASE:
        if text := text_beneath(root, name, TREE_FILE):
            return _of_os_release(text, text_beneath(root, "etc/debian_version", TREE_FILE).strip())
    if text := text_beneath(root, "etc/lsb-release", TREE_FILE):
        fields = dict(line.partition("=")[::2] for line in text.splitlines())
        if "DISTRIB_ID" in fields:
            return _named(fields["DISTRIB_ID"].strip('"').lower(), fields.get("DISTRIB_RELEASE", "").strip('"'), "")
    for name in _RELEASES:
        if match := _RELEASE.match(text_beneath(root, name, TREE_FILE)):
            first = match["name"].split()[0].lower()
            return _named(_NAMES.get(first, first), match["version"], match[0])
    if text := text_beneath(root, "etc/debian_version", TREE_FILE).strip():
        return _debian(text, f"Debian {text}")
    return None


def architecture(root: Path) -> str:
    """In Debian's words, as the first program of it that is found says; "" where none does."""
    for name in _PROGRAMS:
        try:
            with file_beneath(root, name) as file:
                head = file.read(20)
        except OSError:
            continue
        if len(head) == 20 and head.startswith(b"\x7fELF"):
            order = "little" if head[5] == 1 else "big"
            return _MACHINES.get(int.from_bytes(head[18:20], order), "another architecture")  # type: ignore[arg-type]
    return ""


def _of_os_release(text: str, debian_version: str) -> Identity:
    system = parse_os_release(text)
    if system.is_debian and not system.version:
        return _debian(debian_version, system.name)
    return _named(system.ids[0], system.version, system.name)


def _debian(version: str, shown: str) -> Identity:
    """version: of /etc/debian_version, as "12.5", or "forky/sid" for what is no release yet."""
    return _named("debian", "sid" if version.endswith("/sid") else version, shown)


def _named(distribution: str, version: str, shown: str) -> Identity:
    shown = clean(shown or f"{distribution} {version}").strip()[:80]
    for name in (f"{distribution}-{version}", distribution):
        try:
            system = parse_system(name)
        except ValueError:
            continue
        return Identity(system.distribution, system.version, shown)
    return Identity(distribution, version, shown)


def _fits(found: Identity, system: System) -> bool:
    """A version is right that says more, or less, than the other: 9 and 9.3."""
    if found.distribution != system.distribution:
        return False
    both = zip(found.version.split("."), system.version.split("."), strict=False)
    return not found.version or all(one == other for one, other in both)
