"""A tar of a few files of ours, in the order in which they are given: the same bytes each time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.files import Hashed, Written, is_full, whole_file


def write_files(
    goal: Path, small: Mapping[str, bytes], large: Mapping[str, Written], *, epoch: int, programs: Collection[str] = ()
) -> Written:
    """small, large: name in the tar -> content, or the file that has it, which follow in this order. epoch: seconds,
    the time of all. programs: names of those that are run. Raises HostError; then there is no new file."""
    try:
        with whole_file(goal) as file:
            counted = Hashed(file)
            with tarfile.open(fileobj=counted, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                for name, data in small.items():
                    mode = 0o755 if name in programs else 0o644
                    tar.addfile(_entry(name, len(data), epoch, mode), io.BytesIO(data))
                for name, written in large.items():
                    with written.path.open("rb") as source:
                        tar.addfile(_entry(name, written.size, epoch, 0o644), source)
    except OSError as error:
        what = f"the disk of {goal.parent} is full" if is_full(error) else f"cannot write {goal}: {error.strerror}"
        raise HostError(f"{what}; make room there, or choose another folder with --output") from error
    return Written(goal, counted.size, counted.digest.hexdigest())


def _entry(name: str, size: int, epoch: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, epoch, mode
    return entry
