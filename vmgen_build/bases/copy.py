"""A root file system that lies in a folder of this host, copied with all that a tar can hold."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.bases.unpack import TAR
from vmgen_build.errors import BuildError
from vmgen_build.host.pipeline import pipeline
from vmgen_build.host.run import Word

_PACK = ("tar", "--one-file-system", "--sparse", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls")


def copy_tree(source: Path, goal: Path) -> None:
    """Copy what one file system holds below `source` into the folder `goal`. Raises BuildError."""
    goal.mkdir(parents=True, exist_ok=True)
    commands: dict[str, list[Word]] = {"reading": [*_PACK, "-cf", "-", "-C", source, "."], "writing": [*TAR, goal]}
    with pipeline(commands) as running:
        if failure := running.failure():
            raise BuildError(f"cannot copy the base system: {failure}")
