"""What the archives of a Debian system hold now: their Packages indexes, which their signed Release files name.

cache/facts/versions-KEY.json    the versions of one source, as they were known last
"""

from __future__ import annotations

import bz2
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vmgen_build.bases.apt import release
from vmgen_build.bases.apt.archive import AptSource, host_apt_settings, release_of, sources_here
from vmgen_build.bases.fetch import fetch
from vmgen_build.bases.indexfiles import text_of
from vmgen_build.bases.remembered import recall, remember
from vmgen_build.bases.shelves import Shelf, Shelves
from vmgen_build.bases.states import State
from vmgen_build.bases.supply import Request
from vmgen_build.errors import BuildError
from vmgen_build.limits import INDEX_TEXT
from vmgen_build.plan.digests import digest_of
from vmgen_build.text import without_passwords

_STANZA = re.compile(rb"^Package: ([^\n]{1,200})\n(?:[^\n]+\n)*?Version: ([^\n]{1,200})$", re.MULTILINE)


def shelves(request: Request, cache: Path, *, offline: bool) -> Shelves:
    """Raises BuildError naming the address that does not answer, or that is not what its keys' owner signed."""
    system = request.system
    sources = sources_here(system, request.mirror, cache)
    names = [archive.name for archive in system.archives for _ in archive.suites]
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda one, name: shelf(one, name, system.arch, cache, offline=offline), sources, names)
        return Shelves(tuple(found), frozenset({system.arch, "all"}), newer)


def newer(one: str, other: str) -> bool:
    """deb-version(7)."""
    from debian.debian_support import NativeVersion

    return bool(NativeVersion(one) > NativeVersion(other))


def shelf(source: AptSource, name: str, arch: str, cache: Path, *, offline: bool) -> Shelf:
    """What one source holds. name: of its archive. Raises BuildError."""
    key = digest_of([source.line(), source.keyring, arch])[:32]
    known = _recalled(cache, key)
    title, security = f"{name} {source.suite}", "security" in source.suite
    if offline:
        if known is None:
            url = without_passwords(source.release_url())
            raise BuildError(f"nothing is known of the packages of {url} yet: run once without --offline")
        return Shelf(title, security, *known[1:])
    state = release_of(source, arch, cache)
    if known is None or known[0] != state.digest:
        known = (state.digest, time.time(), state.date, _fetched(source, arch, state))
    known = (known[0], time.time(), *known[2:])
    record = {"digest": known[0], "asked": known[1], "date": known[2], "versions": dict(known[3])}
    remember(cache, f"versions-{key}.json", record)
    return Shelf(title, security, *known[1:])


_Known = tuple[str, float, int, Mapping[str, str]]
"""Digest of the state, when it was asked, the index's date, versions."""


def _recalled(cache: Path, key: str) -> _Known | None:
    try:
        data = recall(cache, f"versions-{key}.json")
        versions = {str(name): str(version) for name, version in data["versions"].items()}
        return str(data["digest"]), float(data["asked"]), int(data["date"]), versions
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _fetched(source: AptSource, arch: str, state: State) -> Mapping[str, str]:
    """The newest version of each package, of all components."""
    settings = host_apt_settings()
    signed = release.signed_release(source.release_url(), source.keyring, settings)
    if source.named:
        release.check_suite(signed, source.suite)
    listed = [words for line in signed.fields["SHA256"].split("\n") if len(words := line.split()) == 3]
    digests = {name.removeprefix("./"): digest for digest, _, name in listed}
    by_digest = signed.fields.get("Acquire-By-Hash", "") == "yes"
    found: dict[str, str] = {}
    for component in source.components:
        for package, version in _versions(_index(source, f"{component}/binary-{arch}", digests, by_digest)):
            if package not in found or _after(version, found[package]):
                found[package] = version
    return found


def _index(source: AptSource, folder: str, digests: Mapping[str, str], by_digest: bool) -> bytes:
    """An index's text. Raises BuildError where it is not the one that was signed."""
    settings, top = host_apt_settings(), source.release_url().removesuffix("InRelease")
    for name in ("Packages.xz", "Packages.gz", "Packages.bz2", "Packages"):
        digest = digests.get(f"{folder}/{name}")
        if digest is None:
            continue
        place = f"{folder}/by-hash/SHA256/{digest}" if by_digest else f"{folder}/{name}"
        data = fetch(f"{top}{place}", INDEX_TEXT, settings, optional=True)
        if data is None:
            continue
        if hashlib.sha256(data).hexdigest() != digest:
            raise BuildError(
                f"{without_passwords(top)}{folder}/{name} is not what its Release file lists: the mirror is being"
                " updated, or damaged; try again, or take another mirror"
            )
        return _bunzipped(data, name) if name.endswith(".bz2") else text_of(data, name)
    raise BuildError(f"{without_passwords(top)} has no index of packages in {folder}; take another mirror")


def _bunzipped(data: bytes, name: str) -> bytes:
    try:
        text = bz2.BZ2Decompressor().decompress(data, INDEX_TEXT.amount + 1)
    except OSError as error:
        raise BuildError(f"{name} is damaged: {error}; take another mirror") from error
    if len(text) > INDEX_TEXT.amount:
        raise BuildError(f"{name}: {INDEX_TEXT.exceeded}")
    return text


def _versions(text: bytes) -> Iterator[tuple[str, str]]:
    for match in _STANZA.finditer(text):
        yield match[1].decode(errors="replace").strip(), match[2].decode(errors="replace").strip()


def _after(one: str, other: str) -> bool:
    try:
        return newer(one, other)
    except ValueError:
        return False
