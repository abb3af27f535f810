"""What the cache remembers of builds is written whole or not at all, and what a killed writer left goes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.store.record import Record, read_record, write_record

KILLED = """
import os, signal, sys
from pathlib import Path
from vmgen_build.store.record import Record, write_record
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
write_record(Path(sys.argv[1]), "plan", "packing", Record((), ()))
"""


def test_issue_8_a_record_without_room_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the campaign."""

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_record(tmp_path, "other", "packing", Record((), ()))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostError, match="No space left on device; make room there"):
        write_record(tmp_path, "plan", "packing", Record((), ()))
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["other-packing.json"]


def test_issue_8_what_a_killed_writer_of_a_record_left_goes_with_the_next_one(tmp_path: Path) -> None:
    write_record(tmp_path, "plan", "packing", Record((), ()))
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert len(list((tmp_path / "records").iterdir())) == 2
    write_record(tmp_path, "plan", "packing", Record((), ()))
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["plan-packing.json"]
    assert read_record(tmp_path, "plan", "packing") == Record((), ())
