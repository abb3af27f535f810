"""Layers that are made without a sync reach the disk while other work goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

from vmgen_build.host import syscalls as sc
from vmgen_build.store.layers import Store


@contextmanager
def written_back(store: Store, layer_ids: Sequence[str]) -> Iterator[None]:
    """While the body runs, those of the layers that may not outlive a crash of this host are written to its disk."""
    layers = store.unsynced(layer_ids)

    def write_back() -> None:
        sc.syncfs(store.layers)
        store.mark_synced(layers)

    thread = Thread(target=write_back)
    if layers:
        thread.start()
    try:
        yield
    finally:
        if layers:
            thread.join()
