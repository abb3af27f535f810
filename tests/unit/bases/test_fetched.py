"""Files of bases from a server: by their sum or their signature, kept in the cache, wrong ones never used."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build.bases.download import Patience
from vmgen_build.bases.fetched import FOLDER, WantedFile, WrongFile, fetch, kept, remember, remembered
from vmgen_build.errors import BuildError
from vmgen_build.events import Event, Note, StepProgress
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Store

QUICK = Patience(connect=5, stall=5, tries=3, pause=0.01)
DATA = os.urandom(3 << 20)
SUM = hashlib.sha256(DATA).hexdigest()
PATH = "/images/root.tar.xz"

needs_gpg = pytest.mark.skipif(
    not (shutil.which("gpg") and shutil.which("gpgv")), reason="needs gpg and gpgv (packages gpg, gpgv)"
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    claim_cache(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gpg") / "home")
    yield made
    made.end()


def take(wanted: WantedFile, cache: Path, *, offline: bool = False) -> tuple[Path, list[Event]]:
    events: list[Event] = []
    path, digest = fetch(wanted, cache, events.append, offline=offline, patience=QUICK)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    return path, events


def left(cache: Path) -> set[str]:
    return {path.name for path in (cache / FOLDER).iterdir()}


def test_it_is_kept_by_its_digest_and_asked_for_once(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA)
    wanted = WantedFile(web.url + PATH, SUM)
    assert kept(wanted, cache) is None
    path, events = take(wanted, cache)
    assert path.read_bytes() == DATA and left(cache) == {f"{SUM}-root.tar.xz"}
    assert any(isinstance(event, StepProgress) and event.done == len(DATA) for event in events)
    assert kept(wanted, cache) == (path, SUM)
    web.asked.clear()
    assert take(wanted, cache, offline=True)[0] == path and take(wanted, cache)[0] == path
    assert web.asked == []


def test_a_wrong_sum_leaves_nothing(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA)
    with pytest.raises(WrongFile, match=f"has the sha256 {SUM}, and {'0' * 64} is asked for"):
        take(WantedFile(web.url + PATH, "0" * 64), cache)
    assert left(cache) == set()


def test_a_file_that_changed_in_the_cache_is_fetched_again(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA)
    wanted = WantedFile(web.url + PATH, SUM)
    path, _ = take(wanted, cache)
    path.write_bytes(b"other")
    _, events = take(wanted, cache)
    assert path.read_bytes() == DATA
    assert any(isinstance(event, Note) and "is not taken" in event.text for event in events)


def test_a_download_that_is_cut_goes_on(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA, cuts=[1 << 20])
    assert take(WantedFile(web.url + PATH, SUM), cache)[0].read_bytes() == DATA
    assert [asked[1] for asked in web.asked] == ["", f"bytes={1 << 20}-"]


def test_parts_of_two_files_are_fetched_again_whole(web: Any, served: Any, cache: Path) -> None:
    wanted = WantedFile(web.url + PATH, SUM)
    web.files[PATH] = served(data=bytes(len(DATA)), cuts=[1 << 20, 0, 0, 0, 0])
    with pytest.raises(BuildError):
        take(wanted, cache)
    web.files[PATH] = served(data=DATA)
    path, events = take(wanted, cache)
    assert path.read_bytes() == DATA
    assert any(isinstance(event, Note) and "downloading it anew" in event.text for event in events)


def test_two_at_once_download_once(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA, pause=0.01)
    wanted = WantedFile(web.url + PATH, SUM)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: take(wanted, cache), range(2)))
    assert found[0][0] == found[1][0] and len(web.asked) == 1
    waited = [event for _, events in found for event in events if isinstance(event, Note) and "waiting" in event.text]
    assert len(waited) == 1


def test_no_password_is_written_or_shown(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA, cuts=[1 << 20, 0, 0, 0, 0], codes=[200, 500, 500, 500])
    url = web.url.replace("http://", "http://me:canary@") + PATH
    with pytest.raises(BuildError) as caught:
        take(WantedFile(url, SUM), cache)
    assert "canary" not in str(caught.value) and "***@" in str(caught.value)
    found = subprocess.run(["grep", "-r", "canary", cache], capture_output=True, text=True).stdout
    assert found == "" and any(name.endswith(".part.json") for name in left(cache))


def test_what_is_not_there_is_named(web: Any, cache: Path) -> None:
    with pytest.raises(BuildError, match="HTTP 404; check the address"):
        take(WantedFile(web.url + PATH, SUM), cache)
    with pytest.raises(BuildError, match="is not in the cache yet: run once without --offline"):
        take(WantedFile(web.url + PATH, SUM), cache, offline=True)


@needs_gpg
@pytest.mark.parametrize("end", [".asc", ".sig", ".gpg"])
def test_a_signature_serves_instead_of_a_sum(web: Any, served: Any, cache: Path, keys: Keys, end: str) -> None:
    web.files[PATH] = served(data=DATA)
    web.files[PATH + end] = served(data=keys.sign(DATA))
    wanted = WantedFile(web.url + PATH, key=keys.armoured)
    path, _ = take(wanted, cache)
    assert path.read_bytes() == DATA
    web.asked.clear()
    assert take(wanted, cache, offline=True)[0] == path and web.asked == []
    assert take(wanted, cache)[0] == path and PATH not in [asked for asked, _ in web.asked]


@needs_gpg
def test_a_new_file_under_the_same_address_is_seen(web: Any, served: Any, cache: Path, keys: Keys) -> None:
    wanted = WantedFile(web.url + PATH, key=keys.keyring)
    for data in (DATA, b"newer" + DATA):
        web.files[PATH] = served(data=data, etag=f'"{len(data)}"')
        web.files[f"{PATH}.asc"] = served(data=keys.sign(data))
        assert take(wanted, cache)[0].read_bytes() == data


@needs_gpg
def test_bad_signatures_and_missing_ones(web: Any, served: Any, cache: Path, keys: Keys, tmp_path: Path) -> None:
    web.files[PATH] = served(data=DATA)
    wanted = WantedFile(web.url + PATH, key=keys.armoured)
    with pytest.raises(BuildError, match=r"has no signature to check it by \(.asc: HTTP 404"):
        take(wanted, cache)
    web.files[f"{PATH}.asc"] = served(data=keys.sign(b"other"))
    with pytest.raises(WrongFile, match=r"is not signed by a key of .*signed other bytes"):
        take(wanted, cache)
    other = Keys(tmp_path / "other")
    web.files[f"{PATH}.asc"] = served(data=other.sign(DATA))
    other.end()
    with pytest.raises(WrongFile, match="which the keyring does not hold"):
        take(wanted, cache)
    assert left(cache) == set()


def test_prune_takes_them_all(web: Any, served: Any, cache: Path) -> None:
    web.files[PATH] = served(data=DATA)
    take(WantedFile(web.url + PATH, SUM), cache)
    assert [(entry.kind, entry.name) for entry in Store(cache).prune()] == [("download", "bases")]
    assert not (cache / FOLDER).exists()


def test_answers_of_servers_are_kept_for_builds_without_a_network(cache: Path) -> None:
    with pytest.raises(BuildError, match="was not asked for this system yet"):
        remembered("image debian/12", cache)
    remember("image debian/12", WantedFile("https://x.org/root.tar.xz", SUM), cache)
    assert remembered("image debian/12", cache) == WantedFile("https://x.org/root.tar.xz", SUM)
