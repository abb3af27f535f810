"""Issue 9, point 5: how much room packages take, by apt itself, from a signed archive on this host's own disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.bases.apt import size
from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.size import HostApt, known_size, shown_size
from vmgen_build.bases.supply import COMPLETE, Sizing

SIZES = {"base-files": 1000, "apt": 2000, "libc": 300, "lab": 4000, "doc": 50_000}
"""KiB."""
MORE = {
    "base-files": "Essential: yes\nPriority: required\n",
    "libc": "Priority: required\n",
    "lab": "Depends: libc\nRecommends: doc\n",
}
NEEDED = 1024 * (1000 + 2000 + 300)


def stanza(name: str) -> str:
    head = f"Package: {name}\nVersion: 1\nArchitecture: amd64\nInstalled-Size: {SIZES[name]}\n"
    return f"{head}{MORE.get(name, '')}Filename: {name}.deb\nSize: 1\nSHA256: {hashlib.sha256(b'x').hexdigest()}\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gnupg") / "a")
    yield made
    made.end()


@pytest.fixture
def source(tmp_path: Path, keys: Keys) -> AptSource:
    folder = tmp_path / "archive" / "dists" / "sid"
    index = folder / "main" / "binary-amd64" / "Packages"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(map(stanza, SIZES)))
    data = index.read_bytes()
    listed = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages\n"
    release = "Suite: sid\nCodename: sid\nDate: Sat, 11 Jul 2020 10:16:37 UTC\nComponents: main\nArchitectures: amd64\n"
    (folder / "InRelease").write_text(keys.signed(f"{release}SHA256:\n{listed}"))
    return AptSource(f"file:{tmp_path}/archive", "sid", keyring=str(keys.keyring))


@pytest.fixture
def sizing(tmp_path: Path) -> Sizing:
    for name in ("lists/partial", "cache"):
        (tmp_path / "cache" / "lists-1" / name).mkdir(parents=True)
    return Sizing(tmp_path / "cache", ("lab",), tmp_path / "cache" / "lists-1")


def apt(source: AptSource, tmp_path: Path, name: str = "scratch") -> HostApt:
    (tmp_path / name).mkdir()
    return HostApt((source,), (), "amd64", tmp_path / name)


def test_issue_9_5_packages_with_all_that_they_depend_on_and_the_smallest_base(
    source: AptSource, sizing: Sizing, tmp_path: Path
) -> None:
    assert known_size(sizing) is None
    assert apt(source, tmp_path).installed_size(sizing, fetch=True) == pytest.approx(NEEDED + 4000 * 1024, rel=0.02)
    assert (sizing.indexes / COMPLETE).exists(), "the build takes the indexes that were fetched"
    assert known_size(sizing) == pytest.approx(NEEDED + 4000 * 1024, rel=0.02)
    for other in (("lab", "doc"), ()):
        assert known_size(Sizing(sizing.cache, other, sizing.indexes)) is None
    assert known_size(Sizing(sizing.cache, ("lab",), sizing.cache / "lists-2")) is None, "another state of the archive"


def test_issue_9_5_without_indexes_nothing_is_known(source: AptSource, sizing: Sizing, tmp_path: Path) -> None:
    assert apt(source, tmp_path).installed_size(sizing, fetch=False) is None
    assert list((sizing.indexes / "lists").iterdir()) == [sizing.indexes / "lists" / "partial"]


def test_issue_9_5_an_unknown_package_is_the_builds_own_error(
    source: AptSource, sizing: Sizing, tmp_path: Path
) -> None:
    unknown = Sizing(sizing.cache, ("lab", "no-such"), sizing.indexes)
    assert apt(source, tmp_path).installed_size(unknown, fetch=True) is None
    assert known_size(unknown) is None


def test_issue_9_5_indexes_that_another_key_signed_are_not_taken(
    source: AptSource, sizing: Sizing, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Keys(tmp_path_factory.mktemp("gnupg") / "b")
    stranger.end()
    other = AptSource(source.uri, source.suite, keyring=str(stranger.keyring))
    assert apt(other, tmp_path).installed_size(sizing, fetch=True) is None
    assert not (sizing.indexes / COMPLETE).exists()


def test_issue_9_5_an_answer_without_end_is_cut_off(
    source: AptSource, sizing: Sizing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apt-get").write_text("#!/bin/sh\nwhile :; do echo After this operation, 1 kB; done\n")
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(size, "find_program", lambda _: str(programs / "apt-get"))
    (sizing.indexes / COMPLETE).touch()
    assert apt(source, tmp_path).installed_size(sizing, fetch=False) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("After this operation, 1677 MB of additional disk space will be used.", 1_677_000_000),
        ("After this operation, 10.3 GB of additional disk space will be used.", 10_300_000_000),
        ("After this operation, 0 B of additional disk space will be used.", 0),
        ("After this operation, 512 kB disk space will be freed.", None),
        ("After this operation, 99999999 MB of additional disk space will be used.", None),
        ("Space needed: 1677 MB / 2 GB available", None),
        ("", None),
    ],
)
def test_issue_9_5_apts_words(line: str, expected: int | None) -> None:
    assert shown_size(f"Need to get 3 MB of archives.\n{line}\n'http://x' x_1_all.deb 1\n".encode()) == expected
