"""Files that were read, and their changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.host import watching
from vmgen_build.host.regular import open_regular
from vmgen_build.host.watching import note_read, noted_reads, outside, wait_for_change


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL", 0.01)


def test_what_is_read_and_what_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("1")
    open_regular(Path("a")).close()
    with noted_reads() as noted:
        open_regular(Path("a")).close()
        with pytest.raises(FileNotFoundError):
            open_regular(Path("b"))
    open_regular(Path("a")).close()
    assert set(noted) == {tmp_path / "a", tmp_path / "b"}
    assert noted[tmp_path / "b"] == () != noted[tmp_path / "a"]


def test_own_folders_are_not_watched(tmp_path: Path) -> None:
    with noted_reads() as noted:
        for name in ("lab.ini", "output/x", "output2/y"):
            note_read(tmp_path / name)
    assert set(outside(noted, [tmp_path / "output"])) == {tmp_path / "lab.ini", tmp_path / "output2/y"}


def replace_whole(path: Path) -> None:
    """As editors do."""
    new = path.with_name("new")
    new.write_text("1")
    os.utime(new, ns=(0, path.stat().st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("other"),
        Path.unlink,
        replace_whole,
        lambda path: path.chmod(0o600),
        lambda path: path.with_name("b").write_text("it is there now"),
    ],
)
def test_a_change_ends_the_waiting(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    path.chmod(0o644)
    with noted_reads() as noted:
        for name in ("a", "b", "c"):
            note_read(tmp_path / name)
    timer = threading.Timer(0.05, change, [path])
    timer.start()
    changed = wait_for_change(noted)
    timer.join()
    assert len(changed) == 1 and changed[0].name in ("a", "b")


def test_a_change_while_the_build_ran_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    with noted_reads() as noted:
        note_read(path)
        path.write_text("second")
        note_read(path)
    assert wait_for_change(noted) == [path]


def test_several_changes_in_a_row_are_one(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    with noted_reads() as noted:
        for path in paths:
            note_read(path)
    paths[0].write_text("1")
    states = iter([*"12345"])

    def sleep(_seconds: float) -> None:
        if (state := next(states, None)) is not None:
            paths[1].write_text(state * int(state))

    watching.time.sleep, before = sleep, watching.time.sleep  # type: ignore[attr-defined]
    try:
        assert wait_for_change(noted) == paths
    finally:
        watching.time.sleep = before  # type: ignore[attr-defined]
    assert next(states, None) is None and paths[1].read_text() == "55555"
