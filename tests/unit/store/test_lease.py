"""Scratch folders end with their owner, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from vmgen_build.store.lease import lease, reap

HOLD = """
import sys, time
from pathlib import Path
from vmgen_build.store.lease import lease
with lease(Path(sys.argv[1])) as folder:
    (folder / "half" / "done").mkdir(parents=True)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_the_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with lease(tmp_path) as folder:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "link").symlink_to("/nowhere")
        assert folder.is_dir()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_living_owner_is_left_alone_and_a_killed_one_is_reaped(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    assert reap(tmp_path) == []
    assert (folder / "half").is_dir()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert reap(tmp_path) == [folder.name]
    assert not folder.exists()


def test_a_folder_without_a_lock_is_reaped_once_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "tmp" / "1-abc"
    (folder / "x").mkdir(parents=True)
    assert reap(tmp_path) == []
    os.utime(folder, (time.time() - 120,) * 2)
    assert reap(tmp_path) == ["1-abc"]
    assert not folder.exists()
