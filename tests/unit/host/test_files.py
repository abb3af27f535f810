"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host.files import sha256_of, whole_file, write_whole

WRITER = """
import pathlib, sys
from vmgen_build.host.files import whole_file
with whole_file(pathlib.Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(goal: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, goal], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_it_has_its_name_only_when_whole(tmp_path: Path) -> None:
    goal = tmp_path / "x"
    with whole_file(goal) as file:
        file.write(b"new")
        assert not goal.exists()
    assert goal.read_bytes() == b"new"
    assert goal.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [goal]


def test_an_exception_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "x") as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "old")]


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    process = writer(tmp_path / "x")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".x.part-")
    write_whole(tmp_path / "x", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    process = writer(tmp_path / "x")
    write_whole(tmp_path / "x", "mine")
    assert (tmp_path / "x").read_text() == "mine"
    process.communicate("")
    assert process.returncode == 0
    assert (tmp_path / "x").read_text() == "half"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"cannot write to the folder {tmp_path / 'no'}: No such file or directory"):
        write_whole(tmp_path / "no" / "x", "")


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(os.urandom(3_000_000))
    message = subprocess.run(["sha256sum", tmp_path / "x"], capture_output=True, text=True, check=True).stdout
    assert message.split()[0] == sha256_of(tmp_path / "x")
