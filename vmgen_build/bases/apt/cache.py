"""Downloads that builds share: packages, package indexes, and apt's digest of them.

cache/downloads/packages-debian/    .deb files, flat
cache/downloads/lists-KEY/          indexes of one set of sources at one state of the archive: lists/, pkgcache files
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.plan.digests import digest_of


def packages_folder(cache: Path, distribution: str) -> Path:
    folder = cache / "downloads" / f"packages-{distribution}"
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    return folder


def lists_folder(cache: Path, sources: Sequence[AptSource], arch: str, state: str) -> Path:
    """state: what else the indexes depend on (Release digest, the recipe's own repositories)."""
    key = digest_of([[s.line() for s in sources], arch, state])[:24]
    folder = cache / "downloads" / f"lists-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    return folder


def keep_packages(found: Path, kept: Path) -> int:
    """Take new .deb files over by link, whole ones only (apt moves them out of partial/ when they are). How many."""
    new = 0
    for deb in found.glob("*.deb"):
        goal = kept / deb.name
        if goal.exists() or deb.stat().st_size == 0:
            continue
        part = kept / "partial" / f".{deb.name}.{os.getpid()}"
        try:
            os.link(deb, part)
        except OSError:
            shutil.copyfile(deb, part)
        part.replace(goal)
        new += 1
    return new
