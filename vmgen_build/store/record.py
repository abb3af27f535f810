"""What came out of a plan last time, so that nothing is packed twice.

cache/records/PLAN-PACKING.json   packing: what tells artifacts of one plan apart
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.host.files import Written, sha256_of, write_whole


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """An artifact as it was written. Of its path only the name is kept. stamp: its modification time in nanoseconds;
    only its writer knows it."""

    written: Written
    stamp: int

    @classmethod
    def of(cls, written: Written) -> RecordedFile:
        """Raises OSError."""
        return cls(written, written.path.stat().st_mtime_ns)

    def inside(self, folder: Path) -> Written:
        """The artifact in this folder."""
        return replace(self.written, path=folder / self.written.path.name)


@dataclass(frozen=True, slots=True)
class Record:
    """packages: (name, version, architecture) of each in the image."""

    files: tuple[RecordedFile, ...]
    packages: tuple[tuple[str, str, str], ...]


def _path(cache: Path, plan_id: str, packing: str) -> Path:
    return cache / "records" / f"{plan_id[:32]}-{packing}.json"


def read_record(cache: Path, plan_id: str, packing: str) -> Record | None:
    try:
        data = json.loads(_path(cache, plan_id, packing).read_text())
        files = tuple(RecordedFile(Written(Path(str(n)), int(s), str(d)), int(t)) for n, s, d, t in data["files"])
        return Record(files, tuple((str(n), str(v), str(a)) for n, v, a in data["packages"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(cache: Path, plan_id: str, packing: str, record: Record) -> None:
    """Raises HostError where it cannot be written."""
    path = _path(cache, plan_id, packing)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [(f.written.path.name, f.written.size, f.written.sha256, f.stamp) for f in record.files]
    data = {"files": files, "packages": record.packages}
    write_whole(path, json.dumps(data) + "\n")


def is_there(folder: Path, made: RecordedFile) -> bool:
    """Whether the artifact is in this folder as it was written: by its stamp, or else by what it holds."""
    wanted = made.inside(folder)
    try:
        found = wanted.path.stat()
        if found.st_size != wanted.size:
            return False
        return found.st_mtime_ns == made.stamp or sha256_of(wanted.path) == wanted.sha256
    except OSError:
        return False
