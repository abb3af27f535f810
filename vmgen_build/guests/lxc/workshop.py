"""The workshop of this machine: guests on overlays of layers, which are kept in the store.

Everything here runs inside a worker of host.namespaces: the mounts and containers die with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.artifacts.result import Tree
from vmgen_build.bases.makers import make_base
from vmgen_build.bases.supply import COMPLETE, Making
from vmgen_build.guests.complete import complete
from vmgen_build.guests.lxc import overlay
from vmgen_build.guests.lxc.guest import LxcGuest, RootExecutor
from vmgen_build.guests.lxc.site import Site
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.host.undo import Undo
from vmgen_build.plan.bases import Base, Bootstrapped, Foreign, OsTemplate
from vmgen_build.plan.model import Plan
from vmgen_build.store.layers import Store
from vmgen_build.store.writeback import written_back
from vmgen_build.text import size as in_words

LITTLE_ROOM = 64 << 20
"""Bytes of free space below which a failure is put down to the disk."""


class LxcWorkshop(Workshop):
    """Makes guests of one plan in a folder of `leased` (store.lease).

    waiting: called with the id of a layer that another build is making.
    """

    def __init__(self, store: Store, leased: Path, plan: Plan, waiting: Callable[[str], None]) -> None:
        self.store, self._waiting = store, waiting
        self._site = Site(store, leased, plan)

    def holds(self, layer_id: str) -> bool:
        return self.store.holds(layer_id)

    @contextmanager
    def claim(self, layer_id: str) -> Iterator[None]:
        with self.store.claim(layer_id, lambda: self._waiting(layer_id)):
            yield

    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        site = self._site
        folder = site.new_folder("base")
        making = Making(self.store.cache, folder, site.supply, site.indexes(()), output)
        make_base(base, making)
        if isinstance(base, Foreign | OsTemplate) or (isinstance(base, Bootstrapped) and not site.supply.finishes):
            with overlay.without_devices(making.root):
                runner = RootExecutor(site, (), site.new_folder("complete"), making.root)
                complete(runner, base.packages, plan.system, site.supply, output)
        self.store.add(base.id, folder, name="base", parents=(), extra={"title": base.title})

    @contextmanager
    def in_use(self, layer_id: str) -> Iterator[None]:
        with self.store.in_use([layer_id]):
            yield

    @contextmanager
    def written_back(self, layer_ids: Sequence[str]) -> Iterator[None]:
        with written_back(self.store, layer_ids):
            yield

    def indexes_here(self) -> Path | None:
        """The package indexes of the plan's archive, where they are in the cache, and any guest may have them."""
        indexes = self._site.indexes(())
        return indexes if self._site.trusted and (indexes / COMPLETE).exists() else None

    def trouble(self) -> str:
        """A cache that has no room left."""
        free = shutil.disk_usage(self.store.cache).free
        if free > LITTLE_ROOM:
            return ""
        return (
            f"the disk of the cache {self.store.cache} is full ({in_words(free)} are free): make room there,"
            " shrink the cache with: vmgen-build cache prune --keep 5G, or choose another folder with --cache"
        )

    @contextmanager
    def guest(self, plan: Plan, after: Sequence[str]) -> Iterator[Guest]:
        with Undo() as undo:
            undo.enter_context(self.store.in_use(after))
            yield LxcGuest(self._site, tuple(after), undo)

    @contextmanager
    def result(self, layers: Sequence[str]) -> Iterator[Tree]:
        folder = self._site.new_folder("tree")
        names = [self.store.folder(i).name for i in layers]
        with self.store.in_use(layers), overlay.readable(self.store.layers, names, folder / "rootfs") as root:
            yield Tree(root, tuple(self.store.tree(i) for i in layers))
