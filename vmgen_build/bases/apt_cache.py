"""Downloads that builds share: packages, package indexes, and apt's digest of them.

cache/downloads/packages-debian/    .deb files, flat
cache/downloads/lists-KEY/          indexes of one set of sources at one state of the archive: lists/, pkgcache files
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vmgen_build.bases.archive import Source, host_apt_settings
from vmgen_build.plan.model import STEP_DIR, digest_of


def packages_folder(cache: Path, distribution: str) -> Path:
    folder = cache / "downloads" / f"packages-{distribution}"
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    return folder


def lists_folder(cache: Path, sources: Sequence[Source], arch: str, state: str) -> Path:
    """state: what else the indexes depend on (Release digest, the recipe's own repositories)."""
    key = digest_of([[s.line() for s in sources], arch, state])[:24]
    folder = cache / "downloads" / f"lists-{key}"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir(exist_ok=True)
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


def apt_conf(ca_file: bool, settings: Sequence[str] | None = None, folder: str = STEP_DIR) -> str:
    """Settings of every apt run in a guest; apt.conf(5). The paths are the guest's.

    settings: how packages are fetched, as this host does by default. folder: where indexes and packages lie.
    """
    lines = [
        f'Dir::Etc::sourcelist "{STEP_DIR}/sources.list";',
        f'Dir::State::lists "{folder}/lists";',
        f'Dir::Cache::archives "{folder}/archives";',
        f'Dir::Cache::pkgcache "{folder}/cache/pkgcache.bin";',
        f'Dir::Cache::srcpkgcache "{folder}/cache/srcpkgcache.bin";',
        'APT::Sandbox::User "root";',
        'APT::Keep-Downloaded-Packages "true";',
        'APT::Update::Error-Mode "any";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        'Acquire::http::Timeout "30";',
        'Acquire::GzipIndexes "false";',
        'DPkg::Options { "--force-unsafe-io"; };',
        *(host_apt_settings() if settings is None else settings),
    ]
    if ca_file:
        lines.append(f'Acquire::https::CaInfo "{STEP_DIR}/ca-certificates.crt";')
    return "\n".join(lines) + "\n"
