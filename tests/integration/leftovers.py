"""What a build that ended has left on the machine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def left_behind(*folders: Path) -> list[str]:
    """Mounts in, and processes at work on, these folders."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in mounts + listed if any(str(folder) in line for folder in folders)]


def assert_nothing_left(*folders: Path) -> None:
    deadline = time.monotonic() + 10
    while left_behind(*folders) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(*folders) == []
