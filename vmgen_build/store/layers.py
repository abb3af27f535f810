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
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmgen_build.errors import HostError
from vmgen_build.filenames import require_file_name
from vmgen_build.host.regular import open_regular
from vmgen_build.host.remove import open_folder
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import CACHE_RECORD
from vmgen_build.store.cachedir import READABLE, is_cache, own_folder
from vmgen_build.store.content import is_ours_alone, tree_digest
from vmgen_build.store.lease import lease

TREE = "data/fs"
"""Of a layer's folder: the root of its files."""

_LAYER = re.compile(r"[0-9a-f]{32,64}")
_KINDS = {
    "layer": ("layers", re.compile(r"[0-9a-f]{32}")),
    "download": ("downloads", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")),
    "kept": ("kept", re.compile(r".+-[0-9]+-[0-9a-f]{8}")),
}
"""Kind of entry -> the folder that holds it, and the form of its name. What has another form is not ours."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the cache. kind: "layer", "download" or "kept"; size in bytes; times are seconds since the epoch."""

    id: str
    name: str
    kind: str
    size: int
    created: float
    used: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which entries are to go: what was not used for `older` seconds, then the least recently used until `keep` bytes
    are left; everything where neither is given. dry: nothing goes."""

    keep: int | None = None
    older: float | None = None
    dry: bool = False

    def gone(self, entries: Sequence[Entry], remove: Callable[[Entry], bool]) -> list[Entry]:
        """What was removed, or with `dry` would be. entries: those that go first come first. remove: whether an entry
        that nobody uses is gone."""
        left, now = sum(entry.size for entry in entries), time.time()
        found = []
        for entry in entries:
            stale = self.older is not None and now - entry.used > self.older
            excess = self.keep is not None and left > self.keep
            if not (stale or excess or (self.keep is None and self.older is None)):
                continue
            if self.dry or remove(entry):
                found.append(entry)
                left -= entry.size
        return found


class Store:
    """The layers under one cache folder. Safe for several processes at once.

    shared: others may be able to change the folder. Layers then carry a digest of their content, and one counts as
    there only where it is root's or the caller's and still has that digest.
    """

    def __init__(self, cache: Path, *, shared: bool = False) -> None:
        self.shared = shared
        self._sound: set[str] = set()
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
        if not _LAYER.fullmatch(layer_id):
            raise ValueError(f"{layer_id[:80]!r} is no id of a layer")
        return self.layers / layer_id[:32]

    def tree(self, layer_id: str) -> Path:
        return self.folder(layer_id) / TREE

    def holds(self, layer_id: str) -> bool:
        """Whether the layer is there and sound.

        A layer is made without a sync (overlayfs "volatile"), so it counts only if it was synced since, or if the
        machine has not gone down since it was made.
        """
        folder = self.folder(layer_id)
        try:
            with suppress(PermissionError):  # an ordinary user sees that root's layer is there, and not what it holds
                if not stat.S_ISDIR(self.tree(layer_id).lstat().st_mode):
                    return False
            whole = (folder / "synced").exists() or self.meta(layer_id)["boot"] == boot_id()
            return whole and (not self.shared or self._is_trusted(layer_id))
        except (OSError, ValueError, KeyError):
            return False

    def meta(self, layer_id: str) -> dict[str, Any]:
        """What is written of a layer. Raises OSError, and ValueError for what is none of ours."""
        with open_regular(self.folder(layer_id) / "meta.json", follow=False) as file:
            data = parse_json(file.read(CACHE_RECORD.amount + 1), CACHE_RECORD)
        if not isinstance(data, dict):
            raise ValueError("it is no object")
        return data

    def _is_trusted(self, layer_id: str) -> bool:
        """Whether a layer of a shared cache is what was kept under its id. Its content is read once for each Store."""
        if layer_id not in self._sound:
            own_folder(self.cache, "layers", READABLE)
            if not is_ours_alone(self.folder(layer_id), ("meta.json", "data")):
                return False
            meta = self.meta(layer_id)
            if meta["id"] != layer_id or meta["content"] != tree_digest(self.tree(layer_id)):
                return False
            self._sound.add(layer_id)
        return True

    def add(self, layer_id: str, scratch: Path, *, name: str, parents: Sequence[str], extra: dict[str, Any]) -> None:
        """Take `scratch/data/fs` in as a layer, whole or not at all. `scratch` lies on the cache's file system.

        Call it with the layer claimed. A former layer of this id goes to the scratch folder, to be removed with it.
        """
        meta = {"id": layer_id, "name": name, "parents": list(parents), "created": time.time(), "boot": boot_id()}
        (scratch / TREE).parent.chmod(0o700)
        meta["size"] = tree_size(scratch / TREE)
        if self.shared:
            meta["content"] = tree_digest(scratch / TREE)
        (scratch / "meta.json").write_text(json.dumps(meta | extra, sort_keys=True) + "\n")
        (scratch / "used").touch()
        own_folder(self.cache, "layers", READABLE)
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
    def downloads_in_use(self, name: str) -> Iterator[None]:
        """Keep a folder of downloads from being pruned."""
        with self._lock(name, "use", fcntl.LOCK_SH):
            yield

    @contextmanager
    def _lock(
        self, layer_id: str, purpose: str, mode: int, waiting: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """In a folder that nobody else can enter: no neighbour holds a build up by a lock of his own."""
        require_file_name(layer_id, "a lock")
        path = own_folder(self.cache, "locks") / f"{layer_id[:32]}.{purpose}"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(lock).st_mode):
                raise HostError(f"the lock {path} is no regular file; remove it")
            try:
                fcntl.flock(lock, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if mode & fcntl.LOCK_NB:
                    raise
                if waiting is not None:
                    waiting()
                fcntl.flock(lock, mode)
            yield
        finally:
            os.close(lock)

    def entries(self) -> list[Entry]:
        """All that the cache holds under names of our form, last used first; nothing where it is no cache of ours."""
        if not is_cache(self.cache):
            return []
        found = [entry for kind in _KINDS for name in self._names(kind) if (entry := self._entry(kind, name))]
        return sorted(found, key=lambda e: e.used, reverse=True)

    def _names(self, kind: str) -> list[str]:
        """Folders of our form of name, and no links."""
        place, form = _KINDS[kind]
        try:
            folder = open_folder(self.cache / place)
        except OSError:
            return []
        try:
            with os.scandir(folder) as entries:
                return sorted(e.name for e in entries if form.fullmatch(e.name) and e.is_dir(follow_symlinks=False))
        finally:
            os.close(folder)

    def _entry(self, kind: str, name: str) -> Entry | None:
        """None for a layer that is not whole, and for what another process has just removed."""
        path = self.cache / _KINDS[kind][0] / name
        try:
            if kind != "layer":
                stamp = path.lstat().st_mtime
                return Entry(name, name, kind, tree_size(path), stamp, stamp)
            meta = self.meta(name)
            used = (path / "used").lstat().st_mtime
            return Entry(name, str(meta["name"]), "layer", int(meta["size"]), float(meta["created"]), used)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def prune(self, keep: int | None = None, older: float | None = None, dry: bool = False) -> list[Entry]:
        """As Sweep says. What a running build stands on is left alone. What goes is moved into a scratch folder of this
        process first, where nobody else looks for it."""
        sweep = Sweep(keep, older, dry)
        entries = sorted(self.entries(), key=self._oldest_first)
        if sweep.dry or not entries:
            return sweep.gone(entries, lambda _entry: True)
        with lease(self.cache) as grave:
            return sweep.gone(entries, lambda entry: self._bury(entry, grave))

    @contextmanager
    def unused(self, layer_id: str) -> Iterator[bool]:
        """Whether no build with this cache stands on a layer, which may lie elsewhere; none begins to meanwhile."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._lock(layer_id, "use", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def _oldest_first(self, entry: Entry) -> tuple[float, int]:
        """A layer is removed before the layers it stands on, which are used whenever it is."""
        depth = 0
        with suppress(OSError, ValueError, KeyError, TypeError):
            depth = len(self.meta(entry.id)["parents"]) if entry.kind == "layer" else 0
        return (round(entry.used), -depth)

    def _bury(self, entry: Entry, grave: Path) -> bool:
        """Move it away, where no build uses it; the folder that holds it is opened without following a link."""
        try:
            with self._lock(entry.id, "use", fcntl.LOCK_EX | fcntl.LOCK_NB):
                folder = open_folder(self.cache / _KINDS[entry.kind][0])
                try:
                    os.rename(entry.id, grave / f"{entry.kind}-{entry.id[:200]}", src_dir_fd=folder)
                finally:
                    os.close(folder)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError):
            return False
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
