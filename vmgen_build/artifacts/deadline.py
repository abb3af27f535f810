"""How long the reading of one image may take, in all."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vmgen_build.limits import UNPACK_TIME


@dataclass(frozen=True, slots=True)
class Deadline:
    """end: of time.monotonic()."""

    end: float

    @classmethod
    def from_now(cls) -> Deadline:
        return cls(time.monotonic() + UNPACK_TIME.amount)

    @property
    def left(self) -> float:
        """Seconds. Raises ValueError where there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise ValueError(f"it takes too long: {UNPACK_TIME.exceeded}")
        return left

    def check(self) -> None:
        """Raises ValueError where it is over."""
        _ = self.left
