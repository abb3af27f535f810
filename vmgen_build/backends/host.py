"""What some work needs of this host, asked before it starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from vmgen_build.backends.base import Requirement
from vmgen_build.errors import HostError


def require_programs(requirements: Iterable[Requirement]) -> None:
    """Raises HostError naming what this host lacks, and the command that gets it."""
    missing = {r for r in requirements if shutil.which(r.command) is None}
    if missing:
        what = ", ".join(sorted(f"{r.command} ({r.why})" for r in missing))
        packages = " ".join(sorted({r.package for r in missing}))
        raise HostError(f"this host lacks {what}; get it with: apt-get install -y --no-install-recommends {packages}")


def require_root(what: str, instead: str = "") -> None:
    """what: the work as a sentence, ending in why it needs root; instead: what needs none. Raises HostError."""
    if os.geteuid() != 0:
        raise HostError(f"{what}: run it with sudo{instead and '; '}{instead}")
