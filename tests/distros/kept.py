"""Things that take long to make, kept in the tests' cache under a name that says what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = "distros"
AGED = 3 * 24 * 3600.0
"""Seconds."""


def kept(cache: Path, name: str, made_of: object, make: Callable[[Path], object]) -> Path:
    """The folder NAME-DIGEST of the cache. What is not there, `make` puts into a new folder that it is given.

    made_of: JSON-ready. Two processes wait for each other. Others of the name that nobody asked for lately are removed.
    """
    top = cache / FOLDER
    top.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    goal, scratch = top / f"{name}-{mark}", top / f"{name}.new"
    with open(top / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not goal.exists():
            aged = [old for old in top.glob(f"{name}-{'?' * 12}") if time.time() - old.stat().st_mtime > AGED]
            for old in (scratch, *aged):
                shutil.rmtree(old, ignore_errors=True)
            scratch.mkdir()
            make(scratch)
            scratch.rename(goal)
        os.utime(goal)
    return goal
