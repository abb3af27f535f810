"""How much foreign data may be: one line for each limit, named, so that a message and docs/security.md can name it.

A reader that meets more raises what `Limit.exceeded` says, with its own kind of error.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.text import duration, size

KB, MB, GB = 10**3, 10**6, 10**9


@dataclass(frozen=True, slots=True)
class Limit:
    """name: for the message. of: what is limited. amount: of unit "B" (bytes), "s" (seconds), or a plural noun."""

    name: str
    of: str
    amount: int
    unit: str = "B"

    @property
    def shown(self) -> str:
        """The amount with its unit: "64 kB", "2 min 00 s", "100 levels"."""
        if self.unit == "B":
            return size(self.amount)
        return duration(self.amount) if self.unit == "s" else f"{self.amount:,} {self.unit}"

    @property
    def exceeded(self) -> str:
        """For a message: "it is more than the limit 'manifest' allows (16 MB; docs/security.md)"."""
        return f"it is more than the limit '{self.name}' allows ({self.shown}; docs/security.md)"


# What reads any file below a foreign tree.

TREE_FILE = Limit("tree-file", "a small file read from an unpacked image or a guest's root", 4 * MB)

# Artifacts and their manifests.

# Recipes, templates and other texts.

# A booted image, its probes and its console.

# Nodes, ssh and other machines' answers.

# Package archives and downloads.

# Caches and locks.


def table() -> str:
    """Every limit as a Markdown table, in the order of this module, for docs/security.md."""
    rows = [
        f"| `{limit.name}` | {limit.of} | {limit.shown} |" for limit in globals().values() if isinstance(limit, Limit)
    ]
    return "\n".join(["| limit | of what | at most |", "|---|---|---|", *rows])
