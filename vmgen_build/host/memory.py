"""The memory of this host."""

from __future__ import annotations

import re
from pathlib import Path

from vmgen_build.errors import HostError

MEMINFO = Path("/proc/meminfo")


def available(meminfo: Path = MEMINFO) -> int:
    """Bytes that programs can have without others being swapped out (proc(5), MemAvailable). Raises HostError."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    if found is None:
        raise HostError(f"cannot read how much memory is available: {meminfo} has no MemAvailable")
    return int(found[1]) * 1024
