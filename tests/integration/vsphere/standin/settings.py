"""How the stand-in behaves; the server reads them whenever they matter."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Seconds and bytes.

    lease_error: what a lease that begins ends with. ranges: disks are sent with their length, from where the client
    wants; else in chunks, and whole. rate: bytes in a second of a disk's transfer; 0 for no limit. stall: before the
    first byte. cut_after: bytes after which a download is cut, `cuts` times. failures: of downloads, before one works.
    tools_after: seconds from power-on until Tools run; -1 for never. question: that a machine asks at power-on, and
    waits. shutdown: whether a guest does shut down. address: that its Tools report. nvram: whether a machine with a
    BIOS has one to be exported too, as one with EFI has. nvram_mark, nvram_size: what it begins with, and how many
    zeros follow.
    """

    lease_timeout: float = 300
    lease_initializing: float = 0.2
    lease_error: str = ""
    ranges: bool = False
    rate: int = 0
    stall: float = 0
    cut_after: int = -1
    cuts: int = 0
    failures: int = 0
    tools_after: float = 0.2
    question: str = ""
    shutdown: bool = True
    address: str = "192.0.2.15"
    nvram: bool = False
    nvram_mark: str = "MRVN"
    nvram_size: int = 75_000


class SettingsFile:
    """now: those that hold."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, Settings()
        self.change()

    def change(self, **values: object) -> None:
        self.now = replace(self.now, **values)  # type: ignore[arg-type]
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self.now)))
        new.rename(self.path)

    def reset(self) -> None:
        self.now = Settings()
        self.change()
