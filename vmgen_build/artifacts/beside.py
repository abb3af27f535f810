"""What describes an artifact beside its manifest: lists of what it holds, and how it was made.

SHA256SUMS has their digests, and so its signature covers them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

CYCLONEDX, SPDX, PROVENANCE = ".cdx.json", ".spdx.json", ".provenance.json"
ENDINGS = (CYCLONEDX, SPDX, PROVENANCE)
"""CycloneDX, "Recognized file patterns"; SPDX 2.3, "Use of .spdx.json"."""


def beside(artifact: Path, ending: str) -> Path:
    return artifact.with_name(f"{artifact.name}{ending}")


def describing(artifact: Path) -> list[Path]:
    """Those that there are."""
    return [path for ending in ENDINGS if (path := beside(artifact, ending)).exists()]


def remove_beside(artifact: Path, but: Collection[str] = ()) -> set[str]:
    """Remove what describes an artifact that is another now, or no more, but for those with the endings `but`. The
    names of what was there. Raises OSError."""
    gone = {path.name for path in describing(artifact) if not path.name.endswith(tuple(but) or "\0")}
    for name in gone:
        artifact.with_name(name).unlink(missing_ok=True)
    return gone
