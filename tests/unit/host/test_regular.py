"""Issue 8, item 12: what is read is a regular file, and no larger than its limit."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from vmgen_build.host.regular import open_regular, read_regular
from vmgen_build.limits import Limit

SMALL = Limit("small", "a test", 8)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345678")
    assert read_regular(path, SMALL) == b"12345678"
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"12345678"


def test_issue_8_12_a_larger_one_is_refused_by_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"123456789")
    with pytest.raises(OSError, match="the limit 'small'") as caught:
        read_regular(path, SMALL)
    assert caught.value.errno == errno.EFBIG


def test_issue_8_12_devices_pipes_and_sockets_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, kind in (("/dev/zero", "a device"), (tmp_path / "pipe", "a pipe"), (tmp_path / "socket", "a socket")):
            with pytest.raises(OSError, match=f"it is {kind}, not a file"):
                open_regular(Path(path))
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
