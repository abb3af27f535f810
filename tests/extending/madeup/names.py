"""A format: the names of all files of a root file system, sorted, one a line."""

from __future__ import annotations

import os
from pathlib import Path

from vmgen_build.host.files import Written, sha256_of, write_whole


def write_names(goal: Path, root: Path) -> Written:
    """Raises HostError where the file cannot be written."""
    found = sorted(os.path.relpath(Path(folder, name), root) for folder, _, names in os.walk(root) for name in names)
    write_whole(goal, "".join(f"{name}\n" for name in found))
    return Written(goal, goal.stat().st_size, sha256_of(goal))
