"""How many packages a package manager has installed, read from the lines that it prints."""

from __future__ import annotations

import re

_ASKED = re.compile(r"(\d+) upgraded, (\d+) newly installed, ")
"""apt-get, before it begins."""

_APT = re.compile(r"(?:Unpacking|Setting up) \S+ \(")
"""dpkg does both with each package."""

_COUNTED = re.compile(
    r"\s*(?:Installing|Upgrading|Updating)\s*:\s.*\s(\d+)/(\d+)\s*$"  # dnf 4, yum
    r"|[\[(]\s*(\d+)/\s*(\d+)[\])]\s+(?:[Ii]nstalling|[Uu]pgrading)\b"  # dnf 5, zypper, pacman
)


class PackageCount:
    """done of total packages, of the run of a package manager that printed the last line; total 0 before it says so."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self._halves = 0

    def line(self, line: str) -> bool:
        """Whether the count changed by this line."""
        before = self.done, self.total
        if asked := _ASKED.match(line):
            self.total, self.done, self._halves = int(asked[1]) + int(asked[2]), 0, 0
        elif counted := _COUNTED.match(line):
            self.done, self.total = map(int, filter(None, counted.groups()))
        elif self.total and _APT.match(line):
            self._halves += 1
            self.done = min(self.total, self._halves // 2)
        return (self.done, self.total) != before
