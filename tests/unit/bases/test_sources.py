"""Archives of sources: fetched once, checked always, from the first address that has them."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.bases import sources as module
from vmgen_build.bases.download import Patience
from vmgen_build.bases.sources import Wanted, fetch_source, source_path
from vmgen_build.errors import BuildError
from vmgen_build.events import Event, StepProgress
from vmgen_build.limits import Limit
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Store

QUICK = Patience(connect=5, stall=5, tries=3, pause=0.01)
DATA = os.urandom(3 << 20)
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    claim_cache(tmp_path / "cache")
    return Store(tmp_path / "cache")


def fetch(store: Store, *urls: str, sha256: str = SUM, offline: bool = False) -> Path:
    events: list[Event] = []
    return fetch_source(Wanted(urls, sha256, "source-x"), store, events.append, offline=offline, patience=QUICK)


def test_it_is_fetched_once_and_found_by_its_sum(web: Any, served: Any, store: Store) -> None:
    web.files["/x.tgz"] = served(data=DATA)
    path = fetch(store, f"{web.url}/x.tgz")
    assert path == source_path(store.cache, SUM) and path.read_bytes() == DATA
    assert fetch(store, "http://127.0.0.1:1/other-address", offline=True) == path
    assert len(web.asked) == 1
    assert [entry.name for entry in path.parent.iterdir()] == [SUM], "no part file stays"


def test_a_cut_download_goes_on(web: Any, served: Any, store: Store) -> None:
    web.files["/x.tgz"] = served(data=DATA, cuts=[1 << 20])
    assert fetch(store, f"{web.url}/x.tgz").read_bytes() == DATA
    assert [span for _, span in web.asked] == ["", f"bytes={1 << 20}-"]


def test_the_first_address_that_has_the_right_file(web: Any, served: Any, store: Store) -> None:
    web.files |= {"/wrong.tgz": served(data=b"x"), "/x.tgz": served(data=DATA, etag='"two"')}
    assert fetch(store, f"{web.url}/gone.tgz", f"{web.url}/wrong.tgz", f"{web.url}/x.tgz").read_bytes() == DATA


def test_two_that_want_the_same_one_download_it_once(web: Any, served: Any, store: Store) -> None:
    web.files["/x.tgz"] = served(data=DATA, pause=0.01)
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch(store, f"{web.url}/x.tgz"), range(2)))
    assert paths[0] == paths[1] and len(web.asked) == 1


def test_what_was_damaged_in_the_cache_is_fetched_again(web: Any, served: Any, store: Store) -> None:
    web.files["/x.tgz"] = served(data=DATA)
    path = fetch(store, f"{web.url}/x.tgz")
    path.write_bytes(b"damaged")
    assert fetch(store, f"{web.url}/x.tgz").read_bytes() == DATA


def test_another_file_is_refused_with_both_sums(web: Any, served: Any, store: Store) -> None:
    web.files["/x.tgz"] = served(data=b"other")
    with pytest.raises(BuildError) as caught:
        fetch(store, f"{web.url}/x.tgz", f"{web.url}/gone.tgz")
    lines = str(caught.value).splitlines()
    found = hashlib.sha256(b"other").hexdigest()
    assert lines[:3] == [
        f"{web.url}/x.tgz is not the file that sha256 names:",
        f"  asked for  {SUM}",
        f"  downloaded {found}",
    ]
    assert lines[-1] == f"{web.url}/gone.tgz: HTTP 404"
    assert list(source_path(store.cache, SUM).parent.iterdir()) == []


def test_offline_and_not_in_the_cache(store: Store) -> None:
    with pytest.raises(BuildError, match=r"http://x.org/x.tgz is not in the cache yet .*: run once without --offline"):
        fetch(store, "http://x.org/x.tgz", offline=True)


def test_one_that_is_too_large(web: Any, served: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOURCE_ARCHIVE", Limit("source-archive", "an archive", 1000))
    web.files |= {"/x.tgz": served(data=DATA), "/y.tgz": served(zeros=1 << 28, length=False)}
    reported: list[Event] = []
    wanted = Wanted((f"{web.url}/x.tgz", f"{web.url}/y.tgz"), SUM, "source-x")
    with pytest.raises(BuildError, match=r"(?s)more than the limit 'source-archive' allows.*'source-archive' allows"):
        fetch_source(wanted, store, reported.append, patience=QUICK)
    assert [event for event in reported if isinstance(event, StepProgress)] == [], "it ends at its limit, not later"
    assert list(source_path(store.cache, SUM).parent.iterdir()) == []
