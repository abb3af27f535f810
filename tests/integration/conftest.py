"""Real builds share one cache, so that a base and its packages are made once for all tests, and for the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.node import Node, make_node, template_from
from vmgen_build.store.cachedir import claim_cache

ROOT = Path(__file__).resolve().parents[2]

TEST_CACHES = ROOT / ".testcache"
"""Not below cache/: the tool takes no folder as its cache that holds others."""

BASE = TEST_CACHES / "base"
"""What `make base` has made once for all groups of tests: a base of Debian 12, and the packages that it is made of."""

HANGS = 2400
"""Seconds after which a command that has not ended never will."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def with_base(folder: Path) -> Path:
    """A cache without layers gets what `make base` has made. Downloads are linked; layers are copied, since another
    link to a file that a neighbour packs is a change that tar notices."""
    if not (folder / "layers").exists():
        for name, how in {"downloads": "-alfT", "facts": "-afT", "layers": "-aT"}.items():
            if (BASE / name).exists():
                subprocess.run(["cp", how, BASE / name, folder / name], check=True)
    return folder


@pytest.fixture(scope="session")
def cache() -> Path:
    """$VMGEN_TEST_CACHE, relative to the checkout; .testcache/test by default. Marked, since tests put things of their
    own into it."""
    named = os.environ.get("VMGEN_TEST_CACHE")
    folder = ROOT / named if named else TEST_CACHES / "test"
    claim_cache(folder)
    return with_base(folder)


@pytest.fixture(scope="session")
def vmgen(cache: Path) -> Run:
    """Run the tool as a user does: `vmgen("lab.ini", "-o", out)`."""

    def run(*words: object, env: dict[str, str] | None = None, **more: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vmgen_build", *map(str, words)]
        more.setdefault("timeout", HANGS)
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=os.environ | {"VMGEN_CACHE": str(cache)} | (env or {}),
            stdin=subprocess.DEVNULL,
            **more,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture()
def own_cache(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the test's own that starts with all that the shared one holds, by hard links."""
    folder = cache.parent / f"{cache.name}-own-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-al", cache, folder], check=True)
    yield folder  # type: ignore[misc]
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def node(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A stand-in OpenVZ node with a template of Debian 12."""
    made = make_node(tmp_path_factory.mktemp("vz") / "n")
    try:
        template_from(cache, made)
        yield made
    finally:
        made.destroy()
