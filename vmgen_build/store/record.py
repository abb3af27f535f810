"""What came out of a plan last time, so that nothing is packed twice.

cache/records/PLAN-PACKING.json   packing: what tells artifacts of one plan apart
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from vmgen_build.artifacts.facts import PackageFacts
from vmgen_build.host.files import Written, sha256_in, write_whole
from vmgen_build.host.regular import open_regular
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import CACHE_RECORD
from vmgen_build.store.cachedir import own_folder


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """An artifact as it was written. Of its path only the name is kept. stamp: its device, inode and change time in
    nanoseconds, which nobody sets at will, as anybody sets a modification time (inode(7))."""

    written: Written
    stamp: str

    @classmethod
    def of(cls, written: Written) -> RecordedFile:
        """Raises OSError."""
        return cls(written, _stamp(written.path.lstat()))

    def inside(self, folder: Path) -> Written:
        """The artifact in this folder."""
        return replace(self.written, path=folder / self.written.path.name)


@dataclass(frozen=True, slots=True)
class Record:
    """packages: those of the image. began, ended: epoch seconds, of the build that made the files."""

    files: tuple[RecordedFile, ...]
    packages: tuple[PackageFacts, ...]
    began: int = 0
    ended: int = 0


def _path(cache: Path, plan_id: str, packing: str) -> Path:
    return cache / "records" / f"{plan_id[:32]}-{packing}.json"


def read_record(cache: Path, plan_id: str, packing: str) -> Record | None:
    try:
        with open_regular(_path(cache, plan_id, packing), follow=False) as file:
            data = parse_json(file.read(CACHE_RECORD.amount + 1), CACHE_RECORD)
        files = tuple(RecordedFile(Written(Path(str(n)), int(s), str(d)), str(t)) for n, s, d, t in data["files"])
        packages = tuple(_package(*row) for row in data["packages"])
        return Record(files, packages, int(data["began"]), int(data["ended"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _package(*fields: object) -> PackageFacts:
    *texts, licences = fields
    if not isinstance(licences, list):
        raise ValueError("a record of another version")
    name, version, arch, source, source_version, maintainer = map(str, texts)
    return PackageFacts(name, version, arch, source, source_version, maintainer, tuple(map(str, licences)))


def write_record(cache: Path, plan_id: str, packing: str, record: Record) -> None:
    """Raises HostError where it cannot be written."""
    path = own_folder(cache, "records") / _path(cache, plan_id, packing).name
    files = [(f.written.path.name, f.written.size, f.written.sha256, f.stamp) for f in record.files]
    data = {"files": files, "packages": [astuple(one) for one in record.packages]}
    write_whole(path, json.dumps({**data, "began": record.began, "ended": record.ended}) + "\n")


def is_there(folder: Path, made: RecordedFile) -> bool:
    """Whether the artifact itself is in this folder as it was written: by its stamp, or else by what it holds."""
    wanted = made.inside(folder)
    try:
        with open_regular(wanted.path, follow=False) as file:
            found = os.fstat(file.fileno())
            if found.st_size != wanted.size:
                return False
            return _stamp(found) == made.stamp or sha256_in(file) == wanted.sha256
    except OSError:
        return False


def _stamp(info: os.stat_result) -> str:
    return f"{info.st_dev}:{info.st_ino}:{info.st_ctime_ns}"
