"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host.confined import user
from vmgen_build.host.files import reap_parts, require_own_output, sha256_of, whole_file, write_whole

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


def test_issue_8_13_a_part_file_of_a_guessed_name_is_left_alone(tmp_path: Path) -> None:
    """Neither a link nor a FIFO beside the goal is followed, waited for or removed."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".x.part-00000000").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / ".x.part-00000001")
    write_whole(tmp_path / "x", "new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / ".x.part-00000000").is_symlink() and (tmp_path / ".x.part-00000001").exists()


def test_issue_8_13_a_part_file_is_its_writers_alone_until_it_is_whole(tmp_path: Path) -> None:
    """Its name is not to be guessed, it is locked before anybody may open it, and it replaces a link."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "x").symlink_to(tmp_path / "victim")
    with whole_file(tmp_path / "x") as file:
        (part,) = tmp_path.glob(".x.part-*")
        assert len(part.name) >= len(".x.part-") + 16
        assert os.fstat(file.fileno()).st_ino == part.stat().st_ino
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()


def test_issue_8_13_an_output_folder_that_others_can_exchange_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    out.mkdir(parents=True)
    for folder in (out, out.parent):
        folder.chmod(0o777)
        with pytest.raises(HostError, match=rf"others can write to {folder} .*or choose another folder with --output"):
            require_own_output(out)
        folder.chmod(0o1777)
        require_own_output(out)
        folder.chmod(0o755)
    require_own_output(out)


def test_issue_8_what_a_killed_worker_began_is_removed(tmp_path: Path) -> None:
    """Its lock is gone with it; that of a living one stays, and so does what only looks alike."""
    for name in (".a.tar.part-0123", ".b.ova.part-4567", ".b.ova.part-x", "c.part-0123"):
        (tmp_path / name).write_text("half")
    with whole_file(tmp_path / "d") as file:
        reap_parts(tmp_path)
        left = sorted(path.name for path in tmp_path.iterdir())
        file.write(b"whole")
    assert [name for name in left if not name.startswith(".d.")] == [".b.ova.part-x", "c.part-0123"]
    assert (tmp_path / "d").read_bytes() == b"whole"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_issue_8_a_part_that_was_lent_when_its_writer_was_killed_is_removed(tmp_path: Path) -> None:
    """Found by the campaign: qemu-img writes as a user without rights, to whom the file belongs meanwhile."""
    for name, owner in ((".a.qcow2.part-0123", user()), (".a.qcow2.part-4567", 1234)):
        (tmp_path / name).write_text("half")
        os.chown(tmp_path / name, owner or 0, owner or 0)
    reap_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".a.qcow2.part-4567"]
