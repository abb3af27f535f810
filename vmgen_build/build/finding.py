"""One thing that doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """package: Debian's name of what mends it; advice: what to do where no package does."""

    what: str
    good: bool
    said: str
    package: str = ""
    advice: str = ""
