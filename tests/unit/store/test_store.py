"""The layer store: whole or not at all, safe between processes, pruned in order."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.store.layers import Store


def layer(store: Store, layer_id: str, parents: tuple[str, ...] = (), *, name: str = "step", size: int = 8192) -> None:
    scratch = store.cache / "tmp" / f"scratch-{layer_id}"
    (scratch / "data" / "fs").mkdir(parents=True)
    (scratch / "data" / "fs" / "data").write_bytes(os.urandom(size))
    store.add(layer_id, scratch, name=name, parents=parents, extra={})


@pytest.fixture()
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def ids(*numbers: int) -> list[str]:
    return [f"{n:064x}" for n in (number << 200 for number in numbers)]


def test_a_layer_is_there_once_it_was_added(store: Store) -> None:
    (one,) = ids(1)
    assert not store.holds(one)
    layer(store, one)
    assert store.holds(one)
    assert (store.tree(one) / "data").stat().st_size == 8192
    assert store.meta(one)["name"] == "step"
    assert store.tree(one).parent.stat().st_mode & 0o077 == 0


def test_a_layer_of_another_boot_counts_only_when_it_was_synced(store: Store) -> None:
    """It was written without a sync: a machine that went down may have lost half of it."""
    (one,) = ids(1)
    layer(store, one)
    meta = store.folder(one) / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"boot": "another"}))
    assert not store.holds(one)
    store.mark_synced([one])
    assert store.holds(one)


def test_a_layer_without_its_description_is_not_there(store: Store) -> None:
    (one,) = ids(1)
    (store.folder(one) / "data" / "fs").mkdir(parents=True)
    assert not store.holds(one)
    assert store.entries() == []


def test_prune_keeps_what_was_used_last(store: Store) -> None:
    base, old, new = ids(1, 2, 3)
    for layer_id, parents, age in ((base, (), 10), (old, (base,), 500), (new, (base,), 10)):
        layer(store, layer_id, parents, size=1 << 20)
        os.utime(store.folder(layer_id) / "used", (time.time() - age,) * 2)
    removed = store.prune(keep=(2 << 20) + 65536)
    assert [entry.id for entry in removed] == [old[:32]]
    assert store.holds(base) and store.holds(new) and not store.holds(old)


def test_prune_removes_a_layer_before_what_it_stands_on(store: Store) -> None:
    base, step = ids(1, 2)
    layer(store, base)
    layer(store, step, (base,))
    stamp = time.time() - 100
    for layer_id in (base, step):
        os.utime(store.folder(layer_id) / "used", (stamp, stamp))
    assert [entry.id for entry in store.prune(keep=0)] == [step[:32], base[:32]]


def test_prune_by_age_and_dry_run(store: Store) -> None:
    old, new = ids(1, 2)
    layer(store, old)
    layer(store, new)
    os.utime(store.folder(old) / "used", (time.time() - 3600,) * 2)
    assert [e.id for e in store.prune(older=60, dry=True)] == [old[:32]]
    assert store.holds(old)
    assert [e.id for e in store.prune(older=60)] == [old[:32]]
    assert not store.holds(old) and store.holds(new)


def _use(cache: Path, layer_id: str, ready: object, leave: object) -> None:
    with Store(cache).in_use([layer_id]):
        ready.set()  # type: ignore[attr-defined]
        leave.wait()  # type: ignore[attr-defined]


def test_what_another_process_stands_on_is_not_pruned(store: Store) -> None:
    (one,) = ids(1)
    layer(store, one)
    ready, leave = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=_use, args=(store.cache, one, ready, leave))
    other.start()
    ready.wait()
    try:
        assert store.prune() == []
        assert store.holds(one)
    finally:
        leave.set()
        other.join()
    assert [e.id for e in store.prune()] == [one[:32]]


def _make_once(cache: Path, layer_id: str, made: Path) -> None:
    store = Store(cache)
    with store.claim(layer_id):
        if not store.holds(layer_id):
            time.sleep(0.1)
            made.joinpath(str(os.getpid())).touch()
            layer(store, layer_id, name=str(os.getpid()))


def test_two_processes_make_a_layer_once(store: Store, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (one,) = ids(1)
    others = [multiprocessing.Process(target=_make_once, args=(store.cache, one, made)) for _ in range(4)]
    for process in others:
        process.start()
    for process in others:
        process.join()
    assert [process.exitcode for process in others] == [0, 0, 0, 0]
    assert len(list(made.iterdir())) == 1


def test_a_layer_is_replaced_whole(store: Store) -> None:
    (one,) = ids(1)
    layer(store, one, name="first")
    layer(store, one, name="second")
    assert store.meta(one)["name"] == "second"


@pytest.mark.parametrize("bad", ["a:b", "a,b"])
def test_a_path_that_overlayfs_cannot_take_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(HostError, match="choose another by --cache"):
        Store(tmp_path / bad)
