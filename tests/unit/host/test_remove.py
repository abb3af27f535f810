"""Issue 8, item 5: what is removed is removed without a link followed, however deep it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.host.remove import remove_tree

DEPTH = 3000
"""Beyond Python's limit of recursion, and with its names beyond PATH_MAX."""


def deep(top: Path) -> None:
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("deeper", dir_fd=folder)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)


def test_issue_8_5_a_deep_tree_is_removed(tmp_path: Path) -> None:
    deep(tmp_path / "top")
    remove_tree(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_issue_8_5_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    mine, top = tmp_path / "mine", tmp_path / "top"
    for folder in (mine, top / "a" / "b"):
        folder.mkdir(parents=True)
    (mine / "file").write_text("mine")
    (top / "a" / "b" / "link").symlink_to(mine)
    (top / "link").symlink_to(mine)
    os.mkfifo(top / "a" / "fifo")
    remove_tree(top)
    (tmp_path / "whole").symlink_to(mine)
    remove_tree(tmp_path / "whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "file"]


def test_issue_8_5_nothing_is_removed_behind_a_mount(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    for name in ("mine", "top/a/b/mounted", "top/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine" / "file").write_text("mine")
    script = (
        'mount --bind "$0/mine" "$0/top/a/b/mounted"\n'
        "exec \"$1\" -c 'import sys, pathlib, vmgen_build.host.remove as r; r.remove_tree(pathlib.Path(sys.argv[1]))'"
        ' "$0/top"'
    )
    words = ["unshare", "-m", "sh", "-euc", script, str(tmp_path), sys.executable]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Device or resource busy" in ran.stderr
    assert (tmp_path / "mine" / "file").read_text() == "mine"
    assert not (tmp_path / "top" / "c").exists()
