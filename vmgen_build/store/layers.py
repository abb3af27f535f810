"""The content-addressed store: layers by step id, and what was downloaded for them.

cache/layers/ID/meta.json   the whole id, name, parents, boot id; written before the folder gets its final name
cache/layers/ID/data/fs/    the layer: an overlayfs upper folder (whiteouts and opaque folders as overlayfs keeps them);
                            data/ is root's alone, so that nobody starts a guest's setuid program on the host
cache/layers/ID/used        its time stamp is the last use
cache/layers/ID/synced      there once the layer is known to be on the disk
cache/locks/ID.make         held while the layer is made
cache/locks/ID.use          held (shared) while a build stands on the layer
cache/kept/NAME/            guests kept by --on-error keep
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgen_build.errors import HostError

TREE = "data/fs"
"""Of a layer's folder: the root of its files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the cache. kind: "layer", "download" or "kept"; size in bytes; times are seconds since the epoch."""

    id: str
    name: str
    kind: str
    size: int
    created: float
    used: float


class Store:
    """The layers under one cache folder. Safe for several processes at once."""

    def __init__(self, cache: Path) -> None:
        self.cache = Path(cache).absolute()
        if any(mark in str(self.cache) for mark in ":,\\\n"):
            raise HostError(
                f"overlayfs cannot take the cache folder's path {self.cache} with its ':', ',' or '\\';"
                " choose another by --cache"
            )
        self.layers = self.cache / "layers"
        self.locks = self.cache / "locks"

    def folder(self, layer_id: str) -> Path:
        """Half of the id names it: mount(2) takes one page of options, and each layer of a guest stands in them."""
        return self.layers / layer_id[:32]

    def tree(self, layer_id: str) -> Path:
        return self.folder(layer_id) / TREE

    def holds(self, layer_id: str) -> bool:
        """Whether the layer is there and sound.

        A layer is made without a sync (overlayfs "volatile"), so it counts only if it was synced since, or if the
        machine has not gone down since it was made.
        """
        folder = self.folder(layer_id)
        if not self.tree(layer_id).is_dir():
            return False
        if (folder / "synced").exists():
            return True
        try:
            return bool(json.loads((folder / "meta.json").read_text())["boot"] == boot_id())
        except (OSError, ValueError, KeyError):
            return False

    def meta(self, layer_id: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.folder(layer_id) / "meta.json").read_text())
        return data

    def add(self, layer_id: str, scratch: Path, *, name: str, parents: Sequence[str], extra: dict[str, Any]) -> None:
        """Take `scratch/data/fs` in as a layer, whole or not at all. `scratch` lies on the cache's file system.

        Call it with the layer claimed. A former layer of this id goes to the scratch folder, to be removed with it.
        """
        meta = {"id": layer_id, "name": name, "parents": list(parents), "created": time.time(), "boot": boot_id()}
        (scratch / TREE).parent.chmod(0o700)
        meta["size"] = tree_size(scratch / TREE)
        (scratch / "meta.json").write_text(json.dumps(meta | extra, sort_keys=True) + "\n")
        (scratch / "used").touch()
        self.layers.mkdir(parents=True, exist_ok=True)
        goal = self.folder(layer_id)
        if goal.exists():
            with self._lock(layer_id, "use", fcntl.LOCK_EX):
                goal.rename(scratch.with_name(scratch.name + "-former"))
                scratch.rename(goal)
        else:
            scratch.rename(goal)

    def mark_synced(self, layer_ids: Sequence[str]) -> None:
        """Record that these layers are on the disk; call it after syncfs."""
        for layer_id in layer_ids:
            if self.folder(layer_id).is_dir():
                (self.folder(layer_id) / "synced").touch()

    def unsynced(self, layer_ids: Sequence[str]) -> list[str]:
        return [i for i in layer_ids if self.folder(i).is_dir() and not (self.folder(i) / "synced").exists()]

    @contextmanager
    def claim(self, layer_id: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the right to make this layer; `waiting` is called once if another process holds it."""
        with self._lock(layer_id, "make", fcntl.LOCK_EX, waiting):
            yield

    @contextmanager
    def in_use(self, layer_ids: Sequence[str]) -> Iterator[None]:
        """Keep these layers from being pruned or replaced, and note the use."""
        with ExitStack() as stack:
            for layer_id in layer_ids:
                stack.enter_context(self._lock(layer_id, "use", fcntl.LOCK_SH))
                used = self.folder(layer_id) / "used"
                if used.exists():
                    os.utime(used)
            yield

    @contextmanager
    def _lock(
        self, layer_id: str, purpose: str, mode: int, waiting: Callable[[], None] | None = None
    ) -> Iterator[IO[str]]:
        self.locks.mkdir(parents=True, exist_ok=True)
        with (self.locks / f"{layer_id[:32]}.{purpose}").open("a") as lock:
            try:
                fcntl.flock(lock, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if mode & fcntl.LOCK_NB:
                    raise
                if waiting is not None:
                    waiting()
                fcntl.flock(lock, mode)
            yield lock

    def entries(self) -> list[Entry]:
        """All that the cache holds, last used first."""
        found = [entry for entry in map(self._layer_entry, sorted(self.layers.glob("*"))) if entry is not None]
        for kind, folder in (("download", "downloads"), ("kept", "kept")):
            for path in sorted((self.cache / folder).glob("*")):
                stamp = path.stat().st_mtime
                found.append(Entry(path.name, path.name, kind, tree_size(path), stamp, stamp))
        return sorted(found, key=lambda e: e.used, reverse=True)

    def _layer_entry(self, folder: Path) -> Entry | None:
        try:
            meta = json.loads((folder / "meta.json").read_text())
            used = (folder / "used").stat().st_mtime
        except (OSError, ValueError):
            return None
        return Entry(folder.name, str(meta["name"]), "layer", int(meta["size"]), float(meta["created"]), used)

    def prune(self, keep: int | None = None, older: float | None = None, dry: bool = False) -> list[Entry]:
        """Remove what was not used for `older` seconds, then the least recently used until `keep` bytes are left.

        Neither given: everything. What a running build stands on is left alone. What was (or with `dry` would be)
        removed.
        """
        entries = self.entries()
        left = sum(entry.size for entry in entries)
        removed = []
        for entry in sorted(entries, key=self._oldest_first):
            stale = older is not None and time.time() - entry.used > older
            excess = keep is not None and left > keep
            if not (stale or excess or (keep is None and older is None)):
                continue
            if dry or self._remove(entry):
                removed.append(entry)
                left -= entry.size
        return removed

    def _oldest_first(self, entry: Entry) -> tuple[float, int]:
        """A layer is removed before the layers it stands on, which are used whenever it is."""
        depth = len(self.meta(entry.id)["parents"]) if entry.kind == "layer" else 0
        return (round(entry.used), -depth)

    def _remove(self, entry: Entry) -> bool:
        if entry.kind != "layer":
            try:
                with self._lock(entry.id, "use", fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(self.cache / ("downloads" if entry.kind == "download" else "kept") / entry.id)
            except BlockingIOError:
                return False
            return True
        grave = self.cache / "tmp" / f"pruned-{entry.id[:16]}-{os.getpid()}"
        try:
            with self._lock(entry.id, "use", fcntl.LOCK_EX | fcntl.LOCK_NB):
                grave.parent.mkdir(parents=True, exist_ok=True)
                self.folder(entry.id).rename(grave)
        except (BlockingIOError, FileNotFoundError):
            return False
        shutil.rmtree(grave)
        return True


def boot_id() -> str:
    """The running boot's own id: random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def tree_size(folder: Path) -> int:
    """Bytes on the disk below a folder; what cannot be read counts nothing."""
    total = 0
    stack = [str(folder)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            continue
    return total
