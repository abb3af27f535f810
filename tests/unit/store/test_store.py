"""The layer store: whole or not at all, safe between processes, pruned in order."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Entry, Store
from vmgen_build.store.lease import reap


def layer(store: Store, layer_id: str, parents: tuple[str, ...] = (), *, name: str = "step", size: int = 8192) -> None:
    claim_cache(store.cache)
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


@pytest.mark.parametrize("text", ["[" * 200_000, '{"name": "x", "size": 1, "created": 1e999}', "[]", '"x"'])
def test_issue_8_13_a_description_that_is_no_sense_is_none(store: Store, text: str) -> None:
    (one,) = ids(1)
    layer(store, one)
    (store.folder(one) / "meta.json").write_text(text)
    assert not Store(store.cache, shared=True).holds(one)
    assert store.entries() == []


def test_a_layer_without_its_description_is_not_there(store: Store) -> None:
    (one,) = ids(1)
    claim_cache(store.cache)
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


@pytest.mark.parametrize("bad", ["../../etc", "x" * 64, "a/b", "abc"])
def test_issue_8_4_the_id_of_a_layer_is_no_path(store: Store, bad: str) -> None:
    with pytest.raises(ValueError, match="no id of a layer"):
        store.folder(bad)


def test_issue_8_5_prune_takes_our_names_alone(store: Store) -> None:
    (one,) = ids(1)
    layer(store, one)
    for name in ("layers/notes", "downloads/.hidden", "kept/mine"):
        (store.cache / name).mkdir(parents=True)
        (store.cache / name / "mine").touch()
    (store.cache / "kept" / "lab-users-12-0123abcd").mkdir()
    (store.cache / "downloads" / "packages-debian").mkdir()
    assert sorted(e.kind for e in store.prune()) == ["download", "kept", "layer"]
    left = {str(path.relative_to(store.cache)) for path in store.cache.rglob("mine")}
    assert left == {"layers/notes/mine", "downloads/.hidden/mine", "kept/mine/mine", "kept/mine"}


@pytest.mark.parametrize("link", ["kept", "kept/lab-users-12-0123abcd", "downloads", "downloads/packages-debian"])
def test_issue_8_5_prune_follows_no_link(store: Store, tmp_path: Path, link: str) -> None:
    mine = tmp_path / "elsewhere"
    for name in ("lab-users-12-0123abcd", "packages-debian"):
        (mine / name).mkdir(parents=True)
    claim_cache(store.cache)
    (store.cache / link).parent.mkdir(exist_ok=True)
    (store.cache / link).symlink_to(mine)
    assert store.prune() == []
    assert len(list(mine.iterdir())) == 2


def test_issue_8_5_prune_touches_nothing_in_a_folder_without_our_mark(tmp_path: Path) -> None:
    mine = tmp_path / "downloads" / "taxes"
    mine.mkdir(parents=True)
    assert Store(tmp_path).prune() == []
    assert mine.is_dir()


def test_issue_8_16_reap_finds_nothing_of_a_prune_at_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pruned layer is old, and without a lock of its own: it lies in the leased folder of who prunes it."""
    (one,) = ids(1)
    layer(store, one)
    os.utime(store.folder(one), (time.time() - 3600,) * 2)
    bury = Store._bury
    reaped: list[str] = []

    def reap_after(self: Store, entry: Entry, grave: Path) -> bool:
        done = bury(self, entry, grave)
        assert [path.name for path in grave.iterdir() if path.name != "lock"] == [f"layer-{one[:32]}"]
        reaped.extend(reap(self.cache))
        return done

    monkeypatch.setattr(Store, "_bury", reap_after)
    assert [e.id for e in store.prune()] == [one[:32]]
    assert reaped == []
    assert list((store.cache / "tmp").glob("[0-9]*")) == []


def test_issue_8_13_a_fifo_or_a_link_holds_no_lock_up(store: Store, tmp_path: Path) -> None:
    one, two = ids(1, 2)
    claim_cache(store.cache)
    locks = store.cache / "locks"
    locks.mkdir()
    os.mkfifo(locks / f"{one[:32]}.make")
    (locks / f"{two[:32]}.make").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="is no regular file; remove it"), store.claim(one):
        pass
    with pytest.raises(OSError, match="symbolic links"), store.claim(two):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_issue_8_13_no_neighbour_can_open_a_lock(store: Store) -> None:
    (one,) = ids(1)
    (store.cache / "locks").mkdir(parents=True, mode=0o755)
    (store.cache / "layers").mkdir()
    with store.claim(one):
        assert (store.cache / "locks").stat().st_mode & 0o777 == 0o700


def test_issue_8_13_a_layer_of_a_shared_cache_is_taken_only_as_it_was_kept(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shared = Store(cache, shared=True)
    one, two, three = ids(1, 2, 3)
    for layer_id in (one, two):
        layer(shared, layer_id)
    layer(Store(cache), three)
    assert shared.holds(one) and Store(cache, shared=True).holds(one)
    (shared.tree(one) / "setuid").touch()
    assert not Store(cache, shared=True).holds(one)
    assert Store(cache).holds(one)
    (shared.tree(one) / "setuid").unlink()
    assert Store(cache, shared=True).holds(one)
    (shared.tree(one) / "data").chmod(0o4755)
    assert not Store(cache, shared=True).holds(one)
    assert not shared.holds(three), "it has no digest"
    shared.folder(two).rename(shared.folder(ids(4)[0]))
    assert not shared.holds(ids(4)[0]), "it was kept under another id"


def test_issue_8_13_a_layer_of_a_shared_cache_that_others_own_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", shared=True)
    one, two = ids(1, 2)
    for layer_id in (one, two):
        layer(store, layer_id)
    store.folder(one).chmod(0o777)
    assert not store.holds(one)
    if os.geteuid() == 0:
        os.chown(store.folder(two) / "meta.json", 12345, 12345)
        assert not store.holds(two)
