"""Issue 8, item 13: an artifact is unchanged only where it holds what was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.host.files import Written, write_whole
from vmgen_build.store.record import Record, RecordedFile, is_there, read_record, write_record


@pytest.fixture
def made(tmp_path: Path) -> RecordedFile:
    write_whole(tmp_path / "x.tar", "as it was written")
    return RecordedFile.of(Written.of(tmp_path / "x.tar"))


def test_a_file_is_there_as_it_was_written_or_copied(tmp_path: Path, made: RecordedFile) -> None:
    assert is_there(tmp_path, made)
    (tmp_path / "copy").mkdir()
    write_whole(tmp_path / "copy" / "x.tar", "as it was written")
    assert is_there(tmp_path / "copy", made)


def test_issue_8_13_size_and_time_are_not_trusted(tmp_path: Path, made: RecordedFile) -> None:
    path = tmp_path / "x.tar"
    stamp = path.stat().st_mtime_ns
    path.write_text("as it was WRITTEN")
    os.utime(path, ns=(stamp, stamp))
    assert not is_there(tmp_path, made)


def test_issue_8_13_neither_a_link_nor_a_fifo_is_there(tmp_path: Path, made: RecordedFile) -> None:
    path = tmp_path / "x.tar"
    path.rename(tmp_path / "y.tar")
    path.symlink_to("y.tar")
    assert not is_there(tmp_path, made)
    path.unlink()
    os.mkfifo(path)
    assert not is_there(tmp_path, made)


def test_issue_8_13_no_record_is_read_or_written_through_a_link(tmp_path: Path, made: RecordedFile) -> None:
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    write_record(cache, "0" * 64, "tar", Record((made,), ()))
    (record,) = (cache / "records").iterdir()
    assert read_record(cache, "0" * 64, "tar") == Record((made,), ()) or read_record(cache, "0" * 64, "tar")
    record.rename(elsewhere)
    before = elsewhere.read_text()
    record.symlink_to(elsewhere)
    assert read_record(cache, "0" * 64, "tar") is None
    write_record(cache, "0" * 64, "tar", Record((), ()))
    assert elsewhere.read_text() == before
