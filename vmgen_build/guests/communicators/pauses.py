"""How long to wait between two questions whether something has ended."""

from __future__ import annotations

from collections.abc import Iterator

GROWTH = 1.5


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds, without end: what is short is noticed at once, and what takes long is seldom asked for."""
    pause = first
    while True:
        yield pause
        pause = min(longest, pause * GROWTH)
