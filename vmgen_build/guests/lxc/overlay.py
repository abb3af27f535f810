"""Layers as one tree: overlayfs mounts, https://docs.kernel.org/filesystems/overlayfs.html"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.host import syscalls as sc
from vmgen_build.host.undo import Undo
from vmgen_build.store.layers import TREE

_OPTIONS = "redirect_dir=off,metacopy=off,index=off"


@contextmanager
def writable(layers: Path, lower: Sequence[str], work: Path, target: Path) -> Iterator[Path]:
    """Mount `layers/NAME/data/fs` of each name in `lower` (lowest first) under a new writable layer, `work/fs`.

    No write is synced ("volatile"): whoever keeps the layer must see to that. No device node in it can be opened.
    """
    for name in ("fs", "work"):
        (work / name).mkdir(parents=True)
    options = f"{_lower(lower)},upperdir={work / 'fs'},workdir={work / 'work'},volatile,{_OPTIONS}"
    with _mounted(layers, options, target, sc.MS_NODEV):
        yield target


@contextmanager
def readable(layers: Path, lower: Sequence[str], target: Path) -> Iterator[Path]:
    """Mount the layers (lowest first) read-only, so that no program of theirs gets rights, and no device is opened."""
    with _mounted(layers, f"{_lower(lower)},{_OPTIONS}", target, sc.MS_RDONLY | sc.MS_NODEV | sc.MS_NOSUID):
        yield target


@contextmanager
def without_devices(root: Path) -> Iterator[None]:
    """Meanwhile no device node below `root` can be opened: a base of others may have brought some."""
    sc.mount(str(root), root, flags=sc.MS_BIND)
    with Undo() as undo:
        undo.callback(sc.unmount, root, sc.MNT_DETACH)
        sc.mount("", root, flags=sc.MS_REMOUNT | sc.MS_BIND | sc.MS_NODEV)
        yield


def _lower(names: Sequence[str]) -> str:
    """Paths relative to the layers' folder: mount(2) takes one page of options."""
    return "lowerdir=" + ":".join(f"{name}/{TREE}" for name in reversed(names))


@contextmanager
def _mounted(layers: Path, options: str, target: Path, flags: int) -> Iterator[None]:
    target.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(layers)
    try:
        sc.mount("overlay", target, "overlay", flags, options)
    finally:
        os.chdir(before)
    with Undo() as undo:
        undo.callback(sc.unmount, target)
        yield
