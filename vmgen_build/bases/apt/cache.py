"""Downloads that builds share: packages, package indexes, and apt's digest of them.

cache/downloads/packages-debian/    .deb files, flat
cache/downloads/lists-KEY/          indexes of one set of sources at one state of the archive: lists/, pkgcache files
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.host.files import sha256_of
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.digests import digest_of
from vmgen_build.store.cachedir import READABLE, own_folder

INDEX_FOLDERS = ("lists", "cache")

_SHA256 = re.compile(rb"^SHA256: ([0-9a-f]{64})$", re.MULTILINE)
_PART = re.compile(r"\..+\.deb\.[0-9]+")
_LEFT = 3600.0
"""Seconds after which a half kept package was left by a dead process."""
_MODE = 0o644
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
    """Take new .deb files over by link, those alone that `lists` name with the digest that they have. How many.

    apt takes a file of the cache for the package by its name and size. A guest may leave any file in `found`, which
    nobody else can enter: what is taken over becomes the caller's before it is looked at.
    """
    _reap(kept / "partial")
    new = {deb.name: deb for deb in found.glob("*.deb") if not (kept / deb.name).exists() and _made_own(deb)}
    digests = {name: sha256_of(deb) for name, deb in new.items()}
    known = _names(lists, set(digests.values())) if digests else set()
    right = [name for name, digest in digests.items() if (name, digest) in known]
    for name in right:
        part = kept / "partial" / f".{name}.{os.getpid()}"
        try:
            os.link(new[name], part, follow_symlinks=False)
        except OSError:
            shutil.copyfile(new[name], part, follow_symlinks=False)
            part.chmod(_MODE)
        part.replace(kept / name)
    return len(right)


def _made_own(path: Path) -> bool:
    """Whether it is a regular file. It is the caller's then, and nobody else can write to it."""
    try:
        with open_regular(path, follow=False) as file:
            os.fchown(file.fileno(), os.geteuid(), os.getegid())
            os.fchmod(file.fileno(), _MODE)
    except OSError:
        return False
    return True


def _reap(partial: Path) -> None:
    """What `keep_packages` of a process left that was killed. A link has its change time from when it was made."""
    for path in partial.glob(".*"):
        with suppress(FileNotFoundError):
            if _PART.fullmatch(path.name) and time.time() - path.lstat().st_ctime > _LEFT:
                path.unlink()


def _names(lists: Iterable[Path], digests: set[str]) -> set[tuple[str, str]]:
    """The names that apt gives to the packages of these digests, each with its digest."""
    found: set[tuple[str, str]] = set()
    for path in lists:
        data = path.read_bytes()
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
