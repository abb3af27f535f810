"""What an archive holds now: of the index that its signed Release file names, and no other."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.current import newer, shelf
from vmgen_build.errors import BuildError
from vmgen_build.store.cachedir import claim_cache

PACKAGES = """\
Package: vim
Source: vim-src (1)
Version: 2:9.0-1
Description: Version: 7 is none

Package: bash
Version: 5.2-1

Package: bash
Version: 5.10-1

Package: broken
Description: without a version

Package: last
Version: 1
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("g") / "h")
    yield made
    made.end()


class Archive:
    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder, self.keys = folder, keys
        self.source = AptSource(f"file:{folder}", "bookworm-security", ("main",), str(keys.keyring), named=True)

    def put(self, text: str, *, by_digest: bool = False, listed: str = "") -> None:
        top = self.folder / "dists/bookworm-security"
        shutil.rmtree(top, ignore_errors=True)
        place = top / "main/binary-amd64"
        data = gzip.compress(text.encode(), mtime=0)
        digest = hashlib.sha256(data).hexdigest()
        path = place / f"by-hash/SHA256/{digest}" if by_digest else place / "Packages.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        lines = ["Suite: bookworm-security", f"Date: {email.utils.formatdate(usegmt=True)}"]
        lines += ["Acquire-By-Hash: yes"] if by_digest else []
        lines += ["SHA256:", f" {listed or digest} {len(data)} main/binary-amd64/Packages.gz"]
        (top / "InRelease").write_text(self.keys.signed("\n".join(lines) + "\n"))


@pytest.fixture
def archive(tmp_path: Path, keys: Keys) -> Archive:
    return Archive(tmp_path / "archive", keys)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    claim_cache(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.parametrize("by_digest", [False, True])
def test_issue_14_the_newest_version_of_each_package_is_known(archive: Archive, cache: Path, by_digest: bool) -> None:
    archive.put(PACKAGES, by_digest=by_digest)
    found = shelf(archive.source, "debian-security", "amd64", cache, offline=False)
    assert found.versions == {"vim": "2:9.0-1", "bash": "5.10-1", "last": "1"}
    assert (found.title, found.security) == ("debian-security bookworm-security", True)


def test_issue_14_an_index_that_was_not_signed_is_refused(archive: Archive, cache: Path) -> None:
    archive.put(PACKAGES, listed="0" * 64)
    with pytest.raises(BuildError, match="is not what its Release file lists"):
        shelf(archive.source, "debian-security", "amd64", cache, offline=False)


def test_issue_14_offline_it_is_what_was_known_and_how_old(archive: Archive, cache: Path) -> None:
    with pytest.raises(BuildError, match="run once without --offline"):
        shelf(archive.source, "debian-security", "amd64", cache, offline=True)
    archive.put(PACKAGES)
    first = shelf(archive.source, "debian-security", "amd64", cache, offline=False)
    archive.put("Package: vim\nVersion: 3:1\n")
    again = shelf(archive.source, "debian-security", "amd64", cache, offline=True)
    assert again == first
    assert shelf(archive.source, "debian-security", "amd64", cache, offline=False).versions == {"vim": "3:1"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1:1", "9"),
        ("5.10-1", "5.9-1"),
        ("1.0", "1.0~rc1"),
        ("1.0+deb12u2", "1.0+deb12u1"),
        ("1a", "1"),
        ("2-10", "2-9"),
    ],
)
def test_issue_14_versions_are_ordered_as_dpkg_does(one: str, other: str) -> None:
    assert newer(one, other) and not newer(other, one) and not newer(one, one)
