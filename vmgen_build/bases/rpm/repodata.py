"""Indexes of rpm repositories: what they hold now, and the names and digests of their packages.

Format: repodata/repomd.xml and primary.xml, https://rpm-software-management.github.io/createrepo_c/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from vmgen_build.bases.apt.archive import digest_of_keys
from vmgen_build.bases.fetch import fetch
from vmgen_build.bases.indexfiles import text_of_file
from vmgen_build.bases.signature import why_not_signed
from vmgen_build.bases.states import Answer, State, not_ahead, state_of
from vmgen_build.errors import BuildError
from vmgen_build.limits import RELEASE
from vmgen_build.text import without_passwords

_TIMESTAMP = re.compile(rb"<timestamp>([0-9]{1,10})(?:\.[0-9]+)?</timestamp>")
_DIGEST = re.compile(rb'pkgid="YES">([0-9a-f]{64})</checksum>')
_LOCATION = re.compile(rb'<location (?:xml:base="[^"]*" )?href="([^"]+)"')
_END = b"</package>"
_LONGEST = 1 << 20
"""Bytes of one package's entry; the longest of Fedora's has some thousands."""


def states(urls: Iterable[tuple[str, str]], cache: Path, *, offline: bool) -> list[State]:
    """Of repositories: address, and the file of this host with the keys that sign its index, "" for none.

    Raises BuildError naming what does not answer, or is signed by another key.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda pair: _state(pair[0], pair[1], cache, offline=offline), list(urls)))


def _state(url: str, keyring: str, cache: Path, *, offline: bool) -> State:
    words = ("repomd", keyring, digest_of_keys(keyring))
    return state_of(url, words, partial(_ask, url, keyring), cache, offline=offline)


def _ask(url: str, keyring: str) -> Answer:
    """The index of a repository is signed seldom; where it is, the signature counts. The newest time in it is that of
    the repository's last change."""
    address = f"{url.rstrip('/')}/repodata/repomd.xml"
    data = fetch(address, RELEASE)
    assert data is not None
    if b"<repomd" not in data[:4096]:
        raise BuildError(f"{without_passwords(address)} is no index of a repository: check the mirror's address")
    signature = fetch(f"{address}.asc", RELEASE, optional=True) if keyring else None
    if signature is not None and (reason := why_not_signed(data, signature, Path(keyring))):
        raise BuildError(
            f"{without_passwords(address)} is not signed by a key of {keyring}: {reason};"
            " name its key, or another mirror"
        )
    dates = [int(match[1]) for match in _TIMESTAMP.finditer(data)]
    state = not_ahead(url, State(hashlib.sha256(data).hexdigest(), max(dates, default=0)))
    return Answer(address, state, {"": state.date} if dates else {})


def named(indexes: Path, repositories: Collection[str], digests: Collection[str]) -> set[tuple[str, str]]:
    """Those of the digests that indexes of these repositories (their ids) name, each with its package's file.

    Below `indexes` each repository has a folder of its id, maybe with a digest behind it: dnf(8), zypper(8).
    """
    own = re.compile(rf"({'|'.join(map(re.escape, repositories))})(-[0-9a-f]+)?") if repositories else None
    wanted = {digest.encode() for digest in digests}
    found: set[tuple[str, str]] = set()
    for path in sorted(indexes.rglob("*primary.xml*")):
        if own is None or not any(own.fullmatch(part) for part in path.relative_to(indexes).parts):
            continue
        with suppress(BuildError):
            found |= _packages(text_of_file(path), wanted)
    return found


def _packages(text: bytes, wanted: Collection[bytes]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    start = 0
    while (end := text.find(_END, start)) >= 0:
        entry = text[start:end] if end - start <= _LONGEST else b""
        digest, location = _DIGEST.search(entry), _LOCATION.search(entry)
        if digest and location and digest[1] in wanted:
            found.add((location[1].rpartition(b"/")[2].decode(errors="replace"), digest[1].decode()))
        start = end + len(_END)
    return found
