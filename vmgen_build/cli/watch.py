"""build --watch: build again when what the build reads has changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.host.watching import noted_reads, outside, wait_for_change
from vmgen_build.text import clean

if TYPE_CHECKING:
    from vmgen_build.events import Bus

MOST = 3
"""Changed files that are named."""


def watch(build: Callable[[], int], own: Sequence[Path], bus: Bus) -> int:
    """Build, and again after each change of a file that the last build has read, until Ctrl-C ends the waiting: 0. own:
    the folders that a build itself writes to."""
    while True:
        with noted_reads() as noted:
            build()
        watched = outside(noted, own)
        bus.note(f"waiting for a change of {_named([*watched])}; Ctrl-C ends")
        try:
            changed = wait_for_change(watched)
        except KeyboardInterrupt as end:
            if type(end) is not KeyboardInterrupt:
                raise
            return 0
        bus.note(f"changed: {_named(changed)}")


def _named(paths: Sequence[Path]) -> str:
    names = [clean(os.path.relpath(path)) for path in paths[:MOST]]
    more = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
    return ", ".join(names) + more
