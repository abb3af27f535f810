"""Packages that guests downloaded, taken over into the folder of the cache that builds share."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from vmgen_build.host.files import sha256_of
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import PACKAGE

PARTIAL = "partial"
"""The folder of half kept packages, beside the others."""

_PART = re.compile(r"\..+\.[0-9]+")
_LEFT = 3600.0
"""Seconds after which a half kept package was left by a dead process."""
_MODE = 0o644

Known = Callable[[Collection[str]], Collection[tuple[str, str]]]
"""Of some digests, those that an archive's indexes name, each with the file's own name: (name, digest)."""


def keep_packages(found: Path, kept: Path, known: Known, ending: str = "") -> int:
    """Take new files below `found` over by link, those alone that the indexes name with the digest that they have.
    How many.

    A package manager takes a file of the cache for the package by its name and size. A guest may leave anything in
    `found`, which nobody else can enter: what is taken over becomes the caller's before it is looked at. No link is
    followed. ending: of the files' names.
    """
    (kept / PARTIAL).mkdir(exist_ok=True)
    _reap(kept / PARTIAL)
    new = {path.relative_to(found): path for path in _files(found) if path.name.endswith(ending)}
    digests = {name: sha256_of(path) for name, path in new.items() if not (kept / name).exists() and _made_own(path)}
    right = known(frozenset(digests.values())) if digests else ()
    taken = [name for name, digest in digests.items() if (name.name, digest) in right]
    for name in taken:
        _take(new[name], kept / name, kept / PARTIAL)
    return len(taken)


def _files(folder: Path) -> list[Path]:
    """Below it, that may be packages: not what is on its way, and nothing that is large or has holes."""
    every = (Path(top, name) for top, _, names in os.walk(folder) for name in names if Path(top).name != PARTIAL)
    return [path for path in every if _is_plain(path.lstat())]


def _is_plain(found: os.stat_result) -> bool:
    return found.st_size <= PACKAGE.amount and found.st_blocks * 512 >= found.st_size


def _made_own(path: Path) -> bool:
    """Whether it is a regular file. It is the caller's then, and nobody else can write to it."""
    try:
        with open_regular(path, follow=False) as file:
            os.fchown(file.fileno(), os.geteuid(), os.getegid())
            os.fchmod(file.fileno(), _MODE)
    except OSError:
        return False
    return True


def _take(new: Path, goal: Path, partial: Path) -> None:
    goal.parent.mkdir(parents=True, exist_ok=True)
    part = partial / f".{goal.name}.{os.getpid()}"
    try:
        os.link(new, part, follow_symlinks=False)
    except OSError:
        shutil.copyfile(new, part, follow_symlinks=False)
        part.chmod(_MODE)
    part.replace(goal)


def _reap(partial: Path) -> None:
    """What `keep_packages` of a process left that was killed. A link has its change time from when it was made."""
    for path in partial.glob(".*"):
        with suppress(FileNotFoundError):
            if _PART.fullmatch(path.name) and time.time() - path.lstat().st_ctime > _LEFT:
                path.unlink()
