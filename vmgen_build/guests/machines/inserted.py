"""What Setup of a machine's system finds in its drives, wherever the machine runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """cds: images, the medium's first. floppy: None for none. title: of Setup, for people."""

    title: str
    cds: tuple[Path, ...]
    floppy: Path | None = None
