"""One thing that doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """found: where it is, how it is, or why it is asked for.

    package: Debian's name of what mends it; advice: what to do where no package does.
    """

    what: str
    good: bool
    found: str
    package: str = ""
    advice: str = ""

    def as_dict(self) -> dict[str, object]:
        """As --json prints it."""
        return {
            "what": self.what,
            "good": self.good,
            "found": self.found,
            "package": self.package,
            "advice": self.advice,
        }
