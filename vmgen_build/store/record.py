"""What came out of a plan last time, so that nothing is packed twice.

cache/records/PLAN-PACKING.json   packing: what tells artifacts of one plan apart
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from pathlib import Path

from vmgen_build.host.files import sha256_of


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """An artifact as it was written. stamp: its modification time in nanoseconds; only its writer knows it."""

    name: str
    size: int
    sha256: str
    stamp: int


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
        files = tuple(RecordedFile(str(n), int(s), str(d), int(t)) for n, s, d, t in data["files"])
        return Record(files, tuple((str(n), str(v), str(a)) for n, v, a in data["packages"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(cache: Path, plan_id: str, packing: str, record: Record) -> None:
    path = _path(cache, plan_id, packing)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part-{os.getpid()}")
    data = {"files": [astuple(file) for file in record.files], "packages": record.packages}
    part.write_text(json.dumps(data) + "\n")
    part.replace(path)


def is_there(folder: Path, made: RecordedFile) -> bool:
    """Whether the artifact is in this folder as it was written: by its stamp, or else by what it holds."""
    path = folder / made.name
    try:
        found = path.stat()
        if found.st_size != made.size:
            return False
        return found.st_mtime_ns == made.stamp or sha256_of(path) == made.sha256
    except OSError:
        return False
