"""Issue 8, item 2: the limits of a booted container's memory and processes, where the host has them and where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.boots import groups
from vmgen_build.host import syscalls as sc


@pytest.fixture()
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(groups, "CGROUP_ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("memory pids")
    return tmp_path


def test_issue_8_2_swap_is_no_way_around_the_limit_of_memory(root: Path) -> None:
    notes: list[str] = []
    (root / "one").mkdir()
    (root / "one" / "memory.swap.max").write_text("max")
    with groups.limited("one", root, notes.append):
        assert (root / "one" / "memory.swap.max").read_text() == "0"
        assert int((root / "one" / "memory.max").read_text()) > 0
    assert not notes


def test_issue_8_2_a_kernel_that_does_not_count_swap_is_none_that_fails(root: Path) -> None:
    notes: list[str] = []
    with groups.limited("one", root, notes.append):
        assert not (root / "one" / "memory.swap.max").exists()
    assert not notes


def test_issue_8_2_a_host_that_sets_no_limits_boots_with_a_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a cgroup namespace of its own: whatever is written fails."""
    notes: list[str] = []

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise OSError(16, "Device or resource busy")

    def no_mount(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(sc, "mount", no_mount)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        with groups.limited("one", root, notes.append) as limits, limits():
            pass
    assert [note.split(" for ")[0] for note in notes] == [
        "this host sets no limit of memory",
        "this host sets no limit of pids",
    ]
