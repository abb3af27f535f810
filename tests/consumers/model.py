"""What a consumer is given, and what it says: images, and a row of the table for each thing that it was asked to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.integration.conftest import with_base
from vmgen_build.store.cachedir import claim_cache


@dataclass(frozen=True, slots=True)
class Try:
    """program: with its version and where it is from, as "VirtualBox 7.2.4 (sid)". tried: what it was asked to do.
    wrong: each thing that came out otherwise than the recipe says; none: it took the file."""

    program: str
    tried: str
    wrong: tuple[str, ...] = ()


class Consumer(Protocol):
    """A module of this package."""

    def tries(self, images: Images) -> Iterator[Try]:
        """Each as soon as it is known."""
        ...


class Images:
    """What the tool makes, each once. folder: kept for the next time, with the tool's cache and the chroots."""

    def __init__(self, folder: Path) -> None:
        self._cache, self._out = folder / "cache", folder / "images"
        self.chroots = folder / "chroots"
        claim_cache(self._cache)
        with_base(self._cache)
        self._made: dict[str, Path] = {}

    def build(self, recipe: str, *words: str) -> Path:
        """The folder with what `vmgen-build RECIPE WORDS` makes of the recipe's text. Raises SystemExit."""
        return self._ran(recipe, [], ["-q", *words])

    def compile(self, recipe: str, *words: str) -> Path:
        """As build, of `vmgen-build compile`: the plan's files, which need no image."""
        return self._ran(recipe, ["compile"], words)

    def _ran(self, recipe: str, verb: Sequence[str], words: Sequence[str]) -> Path:
        key = hashlib.sha256("\0".join([recipe, *verb, *words]).encode()).hexdigest()[:16]
        if key not in self._made:
            out = self._out / key
            out.mkdir(parents=True, exist_ok=True)
            (out / "recipe.ini").write_text(recipe)
            command = [sys.executable, "-m", "vmgen_build", *verb, str(out / "recipe.ini"), "-o", str(out), *words]
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=os.environ | {"VMGEN_CACHE": str(self._cache)},
            )
            if done.returncode != 0:
                raise SystemExit(f"an image that a consumer needs is not built:\n{done.stderr}")
            self._made[key] = out
        return self._made[key]
