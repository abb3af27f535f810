"""What a layer holds as one digest, and whose it is: for a cache that others can change."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vmgen_build.host.files import sha256_in
from vmgen_build.host.owners import others_write
from vmgen_build.host.remove import open_folder


def tree_digest(top: Path) -> str:
    """sha256 of all names, modes, owners, devices, targets of links, extended attributes and bytes below a folder.

    Times are left out: a layer's files have theirs from the guest, and nothing depends on them. Raises OSError.
    """
    digest = hashlib.sha256()
    for path in _walk(top):
        info = path.lstat()
        kind = stat.S_IFMT(info.st_mode)
        words = [os.fsencode(path.relative_to(top)), b"%o %d %d" % (info.st_mode, info.st_uid, info.st_gid)]
        words += [b"%s=%s" % (os.fsencode(n), os.getxattr(path, n, follow_symlinks=False)) for n in _attributes(path)]
        if kind == stat.S_IFLNK:
            words.append(os.fsencode(path.readlink()))
        elif kind in (stat.S_IFBLK, stat.S_IFCHR):
            words.append(b"%d" % info.st_rdev)
        elif kind == stat.S_IFREG:
            words.append(_content(path))
        digest.update(b"".join(b"%d:%s," % (len(word), word) for word in words) + b"\n")
    return digest.hexdigest()


def is_ours_alone(folder: Path, inside: tuple[str, ...]) -> bool:
    """Whether a folder and what is named in it are root's or the caller's, and nobody else can write to them."""
    for path in (folder, *(folder / name for name in inside)):
        info = path.lstat()
        if info.st_uid not in (0, os.geteuid()) or others_write(info) or stat.S_ISLNK(info.st_mode):
            return False
    return True


def _walk(top: Path) -> Iterator[Path]:
    """All below a folder, sorted in each, without recursion; links are not followed."""
    left = [top]
    while left:
        folder = left.pop()
        descriptor = open_folder(folder)
        try:
            with os.scandir(descriptor) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        finally:
            os.close(descriptor)
        for name, is_folder in found:
            yield folder / name
            if is_folder:
                left.append(folder / name)


def _attributes(path: Path) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def _content(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return sha256_in(file).encode()
