"""Scratch folders end with their owner, whatever ends it."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vmgen_build.store.lease
from vmgen_build.errors import BuildError
from vmgen_build.store.cachedir import claim_cache
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


def test_issue_8_11_a_removal_that_does_not_succeed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vmgen_build.store.lease, "empty", lambda *_, **__: None)
    with pytest.raises(BuildError, match="cannot remove the scratch folder"), lease(tmp_path) as folder:
        (folder / "left").touch()


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
    claim_cache(tmp_path)
    folder = tmp_path / "tmp" / "1-0123abcd"
    (folder / "x").mkdir(parents=True)
    assert reap(tmp_path) == []
    os.utime(folder, (time.time() - 120,) * 2)
    assert reap(tmp_path) == ["1-0123abcd"]
    assert not folder.exists()


def old(folder: Path) -> Path:
    """A folder with a file, left long ago and without a lock."""
    folder.mkdir(parents=True)
    (folder / "mine").write_text("mine")
    os.utime(folder, (time.time() - 3600,) * 2)
    return folder


@pytest.mark.parametrize("name", ["notes", "1-abc", "12", "x-01234567", "1-0123abcd.bak", "lock"])
def test_issue_8_5_a_folder_of_another_name_is_never_reaped(tmp_path: Path, name: str) -> None:
    claim_cache(tmp_path)
    mine = old(tmp_path / "tmp" / name)
    (mine / "lock").touch()
    assert reap(tmp_path) == []
    assert (mine / "mine").read_text() == "mine"


def test_issue_8_5_nothing_is_reaped_in_a_folder_without_our_mark(tmp_path: Path) -> None:
    """`--cache .` in a project that has a tmp/."""
    mine = old(tmp_path / "tmp" / "1-0123abcd")
    (tmp_path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# another program's\n")
    assert reap(tmp_path) == []
    assert (mine / "mine").exists()


@pytest.mark.parametrize("link", ["tmp", "tmp/1-0123abcd"])
def test_issue_8_5_nothing_is_reaped_behind_a_link(tmp_path: Path, link: str) -> None:
    cache, mine = tmp_path / "cache", old(tmp_path / "elsewhere" / "1-0123abcd")
    claim_cache(cache)
    (cache / link).parent.mkdir(exist_ok=True)
    (cache / link).symlink_to(mine if "/" in link else mine.parent)
    assert reap(cache) == []
    assert (mine / "mine").exists()


def test_issue_8_5_a_link_in_a_scratch_folder_is_not_followed(tmp_path: Path) -> None:
    mine = old(tmp_path / "elsewhere")
    with lease(tmp_path / "cache") as folder:
        (folder / "link").symlink_to(mine)
    assert (mine / "mine").exists()


def test_issue_8_11_a_scratch_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with lease(tmp_path / "cache") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o711


def test_issue_8_16_a_reap_between_open_and_flock_takes_no_live_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reaper comes when the lock file is there, and not locked yet."""
    claim_cache(tmp_path)
    reaped: list[str] = []
    flock = fcntl.flock

    def reap_first(lock: int, mode: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        reaped.extend(reap(tmp_path))
        flock(lock, mode)

    monkeypatch.setattr(fcntl, "flock", reap_first)
    with lease(tmp_path) as folder:
        assert len(reaped) == 1
        assert folder.name not in reaped
        assert (folder / "lock").exists()
        assert reap(tmp_path) == []
        assert folder.is_dir()


def test_issue_8_16_a_reap_before_open_takes_no_live_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker was stopped for longer than a folder may be without its lock."""
    reaped: list[str] = []
    real_mkdir = Path.mkdir

    def stopped_after(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        real_mkdir(self, mode, parents, exist_ok)
        if self.parent.name == "tmp":
            monkeypatch.setattr(Path, "mkdir", real_mkdir)
            os.utime(self, (time.time() - 3600,) * 2)
            reaped.extend(reap(tmp_path))

    monkeypatch.setattr(Path, "mkdir", stopped_after)
    with lease(tmp_path) as folder:
        assert len(reaped) == 1 and folder.name not in reaped
        assert reap(tmp_path) == []
        assert (folder / "lock").exists()


REAP = """
import fcntl, os, signal, sys
from pathlib import Path
from vmgen_build.store import lease
flock = fcntl.flock
def stop_with_the_lock(lock, mode):
    flock(lock, mode)
    os.kill(os.getpid(), signal.SIGSTOP)
lease.fcntl.flock = stop_with_the_lock
print(lease.reap(Path(sys.argv[1])), flush=True)
"""


def test_issue_8_16_a_stopped_reaper_holds_what_it_removes(tmp_path: Path) -> None:
    """A reaper that has found a folder abandoned holds its lock until it is gone, so no other one removes it too."""
    claim_cache(tmp_path)
    folder = old(tmp_path / "tmp" / "1-0123abcd")
    (folder / "lock").touch()
    reaper = subprocess.Popen([sys.executable, "-c", REAP, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    os.waitid(os.P_PID, reaper.pid, os.WSTOPPED)
    assert reap(tmp_path) == []
    assert (folder / "mine").exists()
    reaper.send_signal(signal.SIGCONT)
    assert reaper.communicate()[0] == "['1-0123abcd']\n"
    assert not folder.exists()


def test_issue_8_16_a_failing_removal_does_not_hide_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy", "mounted")

    with pytest.raises(BuildError) as caught, lease(tmp_path):
        monkeypatch.setattr(vmgen_build.store.lease, "empty", fails)
        raise BuildError("step 'users' failed")
    first, second = str(caught.value).splitlines()
    assert first == "step 'users' failed"
    assert second.startswith("and what was begun is not all undone: cannot remove the scratch folder")
    assert second.endswith("mounted: Device or resource busy")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_lease_that_ends_ends_what_a_killed_guest_left_running(tmp_path: Path) -> None:
    """Found by the campaign: a cgroup stayed, whose last process was still dying."""
    pure = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    top = Path("/sys/fs/cgroup") if pure else Path("/sys/fs/cgroup/unified")
    if not (top / "cgroup.procs").exists():
        pytest.skip("no cgroup v2 here")
    with lease(tmp_path) as folder:
        group = top / vmgen_build.store.lease.CGROUPS / folder.name / "guest"
        group.mkdir(parents=True)
        process = subprocess.Popen(["sleep", "600"])
        (group / "cgroup.procs").write_text(str(process.pid))
    assert process.wait(10) == -signal.SIGKILL
    assert not group.parent.exists()
