"""Issue 8, item 12: what a booted machine takes of the disk and of time is looked at while it runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vmgen_build.boots.qemu import boot as qemuboot
from vmgen_build.boots.watch import Watch
from vmgen_build.errors import BuildError
from vmgen_build.limits import CONSOLE, GUEST_TIME, Limit


def test_issue_8_12_a_machine_has_its_time(tmp_path: Path) -> None:
    ended = threading.Event()
    over = Limit(GUEST_TIME.name, GUEST_TIME.of, 0, "s")
    with (
        pytest.raises(BuildError, match="the machine: it is more than the limit 'guest-time'"),
        Watch("the machine", tmp_path, over, ended.set, 0),
    ):
        assert ended.wait(10)


def test_issue_8_12_a_file_that_a_machine_writes_has_its_size(tmp_path: Path) -> None:
    ended = threading.Event()
    (tmp_path / "console").write_bytes(b"")
    with (
        pytest.raises(BuildError, match="the machine: it is more than the limit 'console'"),
        Watch("the machine", tmp_path, GUEST_TIME, ended.set, 0, {tmp_path / "console": CONSOLE}),
    ):
        assert not ended.wait(0.5)
        with (tmp_path / "console").open("wb") as file:
            file.truncate(CONSOLE.amount + 1)
        assert ended.wait(10)


def test_issue_8_12_a_disk_keeps_some_room(tmp_path: Path) -> None:
    ended = threading.Event()
    with (
        pytest.raises(BuildError, match="of the disk are free; make room there"),
        Watch("the machine", tmp_path, GUEST_TIME, ended.set, 1 << 62),
    ):
        assert ended.wait(10)


def test_issue_8_12_the_bounds_of_a_machine_in_qemu(tmp_path: Path) -> None:
    watch = qemuboot.watched(tmp_path, tmp_path / "console", tmp_path / "qemu.log", lambda: None)
    assert watch.limit is GUEST_TIME and watch.kept >= 1 << 30
    assert watch.files[tmp_path / "console"] is CONSOLE
