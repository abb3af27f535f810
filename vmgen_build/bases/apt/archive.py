"""What the host knows of a Debian archive: its mirror, its apt settings, and what the archive holds right now."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmgen_build.bases.apt import release
from vmgen_build.bases.apt.release import Release, SignedRelease
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import write_whole
from vmgen_build.host.owners import own_users
from vmgen_build.host.programs import find_program
from vmgen_build.host.regular import open_regular
from vmgen_build.host.run import run
from vmgen_build.host.system import host_system
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import CACHE_RECORD, RELEASE_BEHIND
from vmgen_build.plan.digests import digest_of
from vmgen_build.store.cachedir import READABLE, is_own_folder, make_own
from vmgen_build.systems.model import System
from vmgen_build.text import without_passwords

FACTS = "facts"
"""The folder of a cache for what was asked of archives."""

FRESH = 3600.0
"""Seconds for which a Release digest is taken as it is."""

TARGETS = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
SETTINGS = ("apt-config", "dump")

_MIRROR = re.compile(r"(https?|file|copy):\S+")
"""An address alone: in a source list nothing of it counts as options or as another field."""


@dataclass(frozen=True, slots=True)
class AptSource:
    """One line of an apt source list: "deb URI SUITE COMPONENTS".

    keyring: file of this host with the keys of which one must have signed its Release file; "" where that is not
    checked here. named: whether that file must name this suite, as those of a distribution's own archives do.
    """

    uri: str
    suite: str
    components: tuple[str, ...] = ("main",)
    keyring: str = ""
    named: bool = False

    def line(self) -> str:
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"

    def checked_line(self) -> str:
        """The same for apt of this host: by the keys of `keyring` alone, where there is one."""
        return self.line().replace("deb ", f"deb [signed-by={self.keyring}] ", 1) if self.keyring else self.line()

    def release_url(self) -> str:
        """Repository format: https://wiki.debian.org/DebianRepository/Format (a suite that ends in / is flat)."""
        base = self.uri.rstrip("/")
        return f"{base}/{self.suite}InRelease" if self.suite.endswith("/") else f"{base}/dists/{self.suite}/InRelease"


def sources_here(system: System, mirror: str | None, cache: Path) -> tuple[AptSource, ...]:
    """What a build takes packages from: the recipe's mirror, this host's mirrors, or the archives themselves."""
    return sources_of(system, mirror, host_mirrors(cache))


def sources_of(system: System, mirror: str | None, own: Mapping[str, str]) -> tuple[AptSource, ...]:
    """Those of the system's archives. mirror: the recipe's, of the first archive; own: the mirrors of the machine that
    fetches the packages, as found_mirrors gives them. Raises BuildError where no archive of the system is known."""
    if not system.archives:
        raise BuildError(f"no package archive of {system.name} is known; name a Debian system, such as debian-12")
    found: list[AptSource] = []
    for archive in system.archives:
        chosen = mirror if archive is system.archives[0] else None
        uri = (chosen or own.get(archive.name) or archive.uri).rstrip("/")
        found += [
            AptSource(uri, suite, archive.components, archive.keyring, named=bool(archive.keyring))
            for suite in archive.suites
        ]
    return tuple(found)


def host_mirrors(cache: Path) -> Mapping[str, str]:
    """The host's own mirrors of Debian, by archive name; empty on a host of another family.

    apt takes half a second for it; its answer is kept until a file of its sources changes.
    """
    if not find_program("apt-get") or not host_system().is_debian:
        return {}
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    stamps = [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in sources if p.exists()]
    name = f"mirrors-{digest_of(stamps)[:16]}.json"
    known = recall(cache, name)
    if isinstance(known, dict) and all(isinstance(uri, str) and _MIRROR.fullmatch(uri) for uri in known.values()):
        return known
    found = _ask_apt_for_mirrors()
    remember(cache, name, found)
    return found


def _ask_apt_for_mirrors() -> dict[str, str]:
    return found_mirrors(run(TARGETS).text)


def found_mirrors(targets: str) -> dict[str, str]:
    """Archive name -> address, from what TARGETS printed."""
    found: dict[str, str] = {}
    for uri in targets.splitlines():
        name = "debian-security" if re.search(r"debian-security/?$|security\.debian\.org", uri) else "debian"
        if _MIRROR.fullmatch(uri) and re.search(r"/debian(-security)?/?$", uri):
            found.setdefault(name, uri)
    return found


def host_apt_settings() -> tuple[str, ...]:
    """The host's settings of how packages are fetched (proxies, CA files, date checks), as apt.conf lines."""
    if not find_program("apt-config"):
        return ()
    lines = list(chosen_settings(run(SETTINGS).text))
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
        if proxy and not any(line.startswith(f"Acquire::{scheme}::Proxy ") for line in lines):
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return tuple(lines)


def chosen_settings(dump: str) -> tuple[str, ...]:
    """Of what SETTINGS printed, how packages are fetched."""
    wanted = re.compile(r"^Acquire::(https?|ftp|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])\b[^ ]* \"[^\"]+\";$")
    return tuple(line for line in dump.splitlines() if wanted.match(line))


def release_of(source: AptSource, arch: str, cache: Path, *, offline: bool = False) -> Release:
    """What the source holds, asked for at most once an hour; offline, what was known last.

    Raises BuildError naming the address when it cannot be had or is not what its keys' owner signed, HostError where
    this host lacks gpgv or the keys.
    """
    url = source.release_url()
    words = (url, arch, *source.components, source.keyring, digest_of_keys(source.keyring))
    name = f"{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:32]}.json"
    known = _known_release(cache, name)
    if known is not None and (offline or 0 <= time.time() - known[0] < FRESH):
        return known[1]
    if offline:
        raise BuildError(f"nothing is known of {url} yet: run once without --offline")
    signed = release.signed_release(url, source.keyring, host_apt_settings())
    if source.named:
        release.check_suite(signed, source.suite)
    if source.keyring:
        _check_newest(signed, cache)
    found = Release(release.digest_of_indexes(signed, source.components, arch), signed.date)
    remember(
        cache, name, {"asked": time.time(), "url": without_passwords(url), "digest": found.digest, "date": found.date}
    )
    return found


def digest_of_keys(keyring: str) -> str:
    """What was checked by other keys counts as unknown; "" for no keyring, or one that cannot be read."""
    try:
        return hashlib.sha256(Path(keyring).read_bytes()).hexdigest() if keyring else ""
    except OSError:
        return ""


def _check_newest(signed: SignedRelease, cache: Path) -> None:
    """A mirror may be a day behind another, and not go back further. Raises BuildError."""
    name = f"newest-{hashlib.sha256(signed.url.encode()).hexdigest()[:32]}.json"
    try:
        newest = int(recall(cache, name)["date"])
    except (ValueError, KeyError, TypeError):
        newest = 0
    if signed.date < newest - RELEASE_BEHIND.amount:
        raise BuildError(
            f"{signed.url} is of {release.day(signed.date)}, and one of {release.day(newest)} was there before: the"
            f" limit '{RELEASE_BEHIND.name}' allows {RELEASE_BEHIND.shown}; take another mirror, or remove"
            f" {cache / FACTS / name}"
            " where the archive went back on purpose"
        )
    if signed.date > newest:
        remember(cache, name, {"url": without_passwords(signed.url), "date": signed.date})


def _known_release(cache: Path, name: str) -> tuple[float, Release] | None:
    try:
        data = recall(cache, name)
        return float(data["asked"]), Release(str(data["digest"]), int(data["date"]))
    except (ValueError, KeyError, TypeError):
        return None


def recall(cache: Path, name: str) -> Any:
    """What was remembered under that name; None for nothing, or where others can change it."""
    if not is_own_folder(cache, FACTS):
        return None
    try:
        with open_regular(cache / FACTS / name, follow=False) as file:
            known = os.fstat(file.fileno()).st_uid in own_users()
            return parse_json(file.read(CACHE_RECORD.amount + 1), CACHE_RECORD) if known else None
    except (OSError, ValueError):
        return None


def remember(cache: Path, name: str, data: Mapping[str, object]) -> None:
    """Best effort: a reader without the right to write asks again next time."""
    with suppress(HostError, OSError):
        cache.mkdir(parents=True, exist_ok=True)
        make_own(cache / FACTS, READABLE)
        write_whole(cache / FACTS / name, json.dumps(data) + "\n")
