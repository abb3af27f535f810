"""Downloads that builds share: packages, package indexes, and apt's digest of them.

cache/downloads/packages-debian/    .deb files, flat
cache/downloads/lists-KEY/          indexes of one set of sources at one state of the archive: lists/, pkgcache files
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.indexfiles import raw_file
from vmgen_build.bases.kept import keep_packages as kept_of
from vmgen_build.plan.digests import digest_of
from vmgen_build.store.cachedir import READABLE, own_folder

INDEX_FOLDERS = ("lists", "cache")

_SHA256 = re.compile(rb"^SHA256: ([0-9a-f]{64})$", re.MULTILINE)
_BAD = re.compile(r"[:_%]")


def packages_folder(cache: Path, distribution: str) -> Path:
    """Raises HostError where others can change it."""
    return own_folder(cache, f"downloads/packages-{distribution}/partial", READABLE).parent


def lists_folder(cache: Path, sources: Sequence[AptSource], arch: str, state: str) -> Path:
    """With the folders that it holds. state: what else the indexes depend on (Release digest, the recipe's own
    repositories). Raises HostError where others can change it."""
    key = digest_of([[s.line() for s in sources], arch, state])[:24]
    for inner in INDEX_FOLDERS:
        folder = own_folder(cache, f"downloads/lists-{key}/{inner}", READABLE).parent
    os.utime(folder)
    return folder


def package_lists(indexes: Path, sources: Sequence[AptSource]) -> list[Path]:
    """The Packages files that apt fetched of these sources, and not those of a recipe's own repositories."""
    heads = tuple(_list_name(source.release_url().removesuffix("InRelease")) for source in sources)
    return [path for path in sorted((indexes / "lists").glob("*_Packages")) if path.name.startswith(heads)]


def _list_name(url: str) -> str:
    """What apt makes of a URL for a file's name: without scheme and login, _ as %5f, / as _ (URItoFileName of apt)."""
    place = url.partition("://")[2].rpartition("@")[2]
    return place.replace("_", "%5f").replace("/", "_")


def keep_packages(found: Path, kept: Path, lists: Sequence[Path]) -> int:
    """Take new .deb files over by link, those alone that `lists` name with the digest that they have. How many."""
    return kept_of(found, kept, partial(_names, lists), ".deb")


def _names(lists: Iterable[Path], digests: Collection[str]) -> set[tuple[str, str]]:
    """The names that apt gives to the packages of these digests, each with its digest."""
    found: set[tuple[str, str]] = set()
    for path in lists:
        data = raw_file(path)
        for match in _SHA256.finditer(data):
            digest = match[1].decode()
            if digest in digests:
                found.add((_file_name(_stanza(data, match.start())), digest))
    return found


def _stanza(data: bytes, at: int) -> bytes:
    """The paragraph that `at` lies in."""
    begin, end = data.rfind(b"\n\n", 0, at), data.find(b"\n\n", at)
    return data[begin + 1 : end if end >= 0 else len(data)]


def _file_name(stanza: bytes) -> str:
    """NAME_VERSION_ARCH.deb, as pkgAcqArchive of apt writes it: a colon of the version as %3a."""
    fields = dict(line.split(": ", 1) for line in stanza.decode(errors="replace").splitlines() if ": " in line)
    parts = (fields.get(name, "") for name in ("Package", "Version", "Architecture"))
    return "_".join(_BAD.sub(lambda bad: f"%{ord(bad[0]):02x}", part) for part in parts) + ".deb"
