"""A root file system out of the layers of a container's image: image-spec, layer.md.

Each layer is unpacked into an empty folder of its own, so that no link of a layer below leads its files elsewhere. What
it takes away becomes what overlayfs knows for it (docs.kernel.org, filesystems/overlayfs.html, "whiteouts and opaque
directories"), and the kernel lays the layers over each other. Runs inside a worker of host.namespaces.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.oci import OPAQUE, OVERLAY_OPAQUE, WHITEOUT
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.bases.copy import copy_tree
from vmgen_build.bases.oci.layout import Layer, layers_of, open_layer
from vmgen_build.bases.oci.names import NAME, plain
from vmgen_build.bases.unpack import check_digest, check_root, untar
from vmgen_build.errors import BuildError
from vmgen_build.host import syscalls as sc
from vmgen_build.host.beneath import open_beneath
from vmgen_build.host.confined import check_reserve, filtering
from vmgen_build.host.remove import remove_tree
from vmgen_build.plan.bases import OciImage

_OPTIONS = "redirect_dir=nofollow,metacopy=off,index=off"
_CHUNK = 1 << 20


def unpack_image(base: OciImage, scratch: Path, root: Path) -> None:
    """Make the new folder `root` of the image. scratch: a folder with room for it.

    Raises BuildError where it is not what its digests say, or holds no root file system for the architecture.
    """
    folder = scratch / "oci"
    folder.mkdir(mode=0o700)
    try:
        with _layout(base, folder / "layout") as layout:
            layers = layers_of(layout, base.arch, base.sha256 if layout == base.file else "")
            names = [str(number) for number in range(len(layers))]
            pairs = zip(names, layers, strict=True)
            marks = [mark for name, layer in pairs for mark in _marks(layout, layer, folder / name)]
        root.parent.mkdir(parents=True, exist_ok=True)
        _lay_over(folder, names, marks, root)
    except (ValueError, OSError) as error:
        raise BuildError(f"{base.file} is not read: {error}") from error
    finally:
        remove_tree(folder)
    check_root(root, str(base.file))


@contextmanager
def _layout(base: OciImage, goal: Path) -> Iterator[Path]:
    """The folder of the layout; an archive is unpacked into the new folder `goal`."""
    if base.file.is_dir():
        yield base.file
        return
    check_digest(base.file, base.sha256)
    goal.mkdir()
    command = decompressor(base.file)
    with base.file.open("rb", buffering=0) as file, TemporaryFile() as errors:
        if command is None:
            _take_files(TarStream(file), goal)
        else:
            with filtering(command, file, errors) as tar:
                _take_files(TarStream(tar), goal)
    yield goal


def _take_files(tar: TarStream, goal: Path) -> None:
    """Those of the names that a layout has, and no links."""
    for entry in tar.entries():
        name = plain(entry.name)
        if not entry.is_file or not NAME.fullmatch(name):
            continue
        path = goal / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := tar.read(_CHUNK):
                check_reserve("unpacking the base system", goal)
                file.write(chunk)


def _marks(layout: Path, layer: Layer, goal: Path) -> list[Path]:
    """Unpack what a layer adds into the new folder `goal`, with what it takes away in overlayfs' words: its
    whiteouts are given."""
    goal.mkdir()
    with open_layer(layout, layer) as file:
        if layer.unpacked:
            _check_unpacked(file, layer)
        untar(file, goal)
    found: list[Path] = []
    for path, folders, files in os.walk(goal):
        for one in (*folders, *files):
            if one.startswith(WHITEOUT) and (mark := _take_away(Path(path), one)) is not None:
                found.append(mark)
        folders[:] = [one for one in folders if not one.startswith(WHITEOUT)]
    return found


def _check_unpacked(file: IO[bytes], layer: Layer) -> None:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if digest.hexdigest() != layer.digest:
        raise ValueError(f"its layer {layer.name} has other content than its configuration says")


def _take_away(folder: Path, mark: str) -> Path | None:
    """mark: the file that says what this layer takes away of those below. The whiteout, where it becomes one."""
    remove_tree(folder / mark)
    name = mark.removeprefix(WHITEOUT)
    hidden = folder / name
    if mark == OPAQUE:
        os.setxattr(folder, OVERLAY_OPAQUE, b"y")
    elif name in ("", ".", "..") or name.startswith(WHITEOUT):
        return None
    elif not os.path.lexists(hidden):
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0))
        return hidden
    elif hidden.is_dir() and not hidden.is_symlink():
        os.setxattr(hidden, OVERLAY_OPAQUE, b"y")
    return None


def _lay_over(folder: Path, names: Sequence[str], marks: Sequence[Path], root: Path) -> None:
    """names: of the layers' folders, lowest first. marks: their whiteouts. A lowest one alone takes nothing away."""
    if len(names) == 1:
        _forget_marks(folder / names[0], marks)
        (folder / names[0]).rename(root)
        return
    with _merged(folder, names) as merged:
        shown = [mark for mark in marks if _is_shown(merged, mark.relative_to(folder).parts[1:])]
    for mark in shown:
        mark.unlink()
    with _merged(folder, names) as merged:
        copy_tree(merged, root)


@contextmanager
def _merged(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """The layers over each other. The paths are relative to the folder: mount(2) takes one page of options."""
    merged = folder / "merged"
    merged.mkdir(exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        flags = sc.MS_RDONLY | sc.MS_NODEV | sc.MS_NOSUID
        sc.mount("overlay", merged, "overlay", flags, f"lowerdir={':'.join(reversed(names))},{_OPTIONS}")
    finally:
        os.chdir(before)
    try:
        yield merged
    finally:
        sc.unmount(merged)


def _is_shown(merged: Path, parts: Sequence[str]) -> bool:
    """Whether a folder lists a whiteout that hides nothing: the kernel does so where the folder has none below it."""
    try:
        above = open_beneath(merged, "/".join(parts[:-1]) or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        with os.scandir(above) as entries:
            return any(entry.name == parts[-1] for entry in entries) and not _is_there(above, parts[-1])
    finally:
        os.close(above)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _forget_marks(root: Path, marks: Sequence[Path]) -> None:
    for mark in marks:
        mark.unlink()
    for path, _, _ in os.walk(root):
        if OVERLAY_OPAQUE in os.listxattr(path, follow_symlinks=False):
            os.removexattr(path, OVERLAY_OPAQUE, follow_symlinks=False)
