"""SHA256SUMS, as sha256sum reads it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.artifacts.sums import NAME, read_sums, update_sums
from vmgen_build.errors import HostError

UPDATE = """
import pathlib, sys
from vmgen_build.artifacts.sums import update_sums
for index in range(10):
    update_sums(pathlib.Path(sys.argv[1]), {f"{sys.argv[2]}-{index}": sys.argv[2] * 64})
"""


def test_sha256sum_checks_it(tmp_path: Path) -> None:
    for name in ("b.tar", "a b.json"):
        (tmp_path / name).write_text(name)
        update_sums(tmp_path, {name: hashlib.sha256(name.encode()).hexdigest()})
    done = subprocess.run(["sha256sum", "-c", NAME], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a b.json: OK\nb.tar: OK\n"


def test_other_lines_stay_and_ours_are_replaced(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(f"{'1' * 64}  z.iso\n{'2' * 64} *lab.tar\nnot a line\n")
    update_sums(tmp_path, {"lab.tar": "3" * 64})
    assert (tmp_path / NAME).read_text() == f"{'3' * 64}  lab.tar\n{'1' * 64}  z.iso\n"


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", UPDATE, tmp_path, digit]) for digit in "abc"]
    assert [w.wait() for w in writers] == [0, 0, 0]
    assert set(read_sums(tmp_path)) == {f"{digit}-{index}" for digit in "abc" for index in range(10)}
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot use the folder"):
        update_sums(tmp_path / "no", {})
