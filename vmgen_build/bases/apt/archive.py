"""What the host knows of a Debian archive: its mirror, its apt settings, and what the archive holds right now."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vmgen_build.bases.apt import release
from vmgen_build.bases.fetch import fetch
from vmgen_build.bases.remembered import recall, remember
from vmgen_build.bases.states import Answer, State, state_of
from vmgen_build.errors import BuildError
from vmgen_build.host.programs import find_program
from vmgen_build.host.run import run
from vmgen_build.host.system import host_system
from vmgen_build.limits import INDEX_TEXT, RELEASE
from vmgen_build.plan.digests import digest_of
from vmgen_build.systems.model import System

TARGETS = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
SETTINGS = ("apt-config", "dump")

_MIRROR = re.compile(r"(https?|file|copy):\S+")
"""An address alone: in a source list nothing of it counts as options or as another field."""

_ARCHIVE = re.compile(r"/(debian|debian-security|ubuntu|ubuntu-ports)/?$")
_SECURITY_ALONE = "security.ubuntu.com"
"""No mirror of the whole archive, which holds the same updates."""


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
        """The same, checked by the keys of `keyring` alone, where there is one: a guest has the archive's at the same
        place as this host."""
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
    """The host's own mirrors of Debian and Ubuntu, by archive name; empty on a host of another family.

    apt takes half a second for it; its answer is kept until a file of its sources changes.
    """
    if not find_program("apt-get") or not host_system().has_apt:
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
        named = _ARCHIVE.search(uri)
        if named and _MIRROR.fullmatch(uri) and _SECURITY_ALONE not in uri:
            found.setdefault("debian-security" if "security.debian.org" in uri else named[1], uri)
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


def release_of(source: AptSource, arch: str, cache: Path, *, offline: bool = False) -> State:
    """What the source holds, asked for at most once an hour; offline, what was known last.

    Raises BuildError naming the address when it cannot be had or is not what its keys' owner signed, HostError where
    this host lacks gpgv or the keys.
    """
    words = (arch, *source.components, source.keyring, digest_of_keys(source.keyring))
    return state_of(source.release_url(), words, partial(_ask, source, arch), cache, offline=offline)


def _ask(source: AptSource, arch: str) -> Answer:
    """Of a file that nobody signed nothing is remembered: anybody could give it any date."""
    if not source.keyring and (bare := _without_release(source)) is not None:
        return bare
    signed = release.signed_release(source.release_url(), source.keyring, host_apt_settings())
    if source.named:
        release.check_suite(signed, source.suite)
    state = State(release.digest_of_indexes(signed, source.components, arch), signed.date)
    return Answer(signed.url, state, {"": signed.date} if source.keyring else {})


def _without_release(source: AptSource) -> Answer | None:
    """Of a flat archive that has no Release file, which apt takes where it is told to trust it, its index."""
    url = source.release_url().removesuffix("InRelease")
    if not source.suite.endswith("/") or any(
        fetch(f"{url}{name}", RELEASE, optional=True) is not None for name in ("InRelease", "Release")
    ):
        return None
    for name in ("Packages", "Packages.gz", "Packages.xz"):
        data = fetch(f"{url}{name}", INDEX_TEXT, optional=True)
        if data is not None:
            return Answer(f"{url}{name}", State(hashlib.sha256(data).hexdigest(), 0))
    return None


def digest_of_keys(keyring: str) -> str:
    """What was checked by other keys counts as unknown; "" for no keyring, or one that cannot be read."""
    try:
        return hashlib.sha256(Path(keyring).read_bytes()).hexdigest() if keyring else ""
    except OSError:
        return ""
