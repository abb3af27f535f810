"""Issue 8, item 16: what reads hostile input runs without rights, with the files that it was given."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vmgen_build.errors import TIMED_OUT, BuildError, HostError
from vmgen_build.host import landlock
from vmgen_build.host.confined import Reach, lent, output_confined, run_confined, start_confined, user
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.run import kill

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user is taken on by root alone")
with_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def sh(script: str, *fds: int) -> str:
    return output_confined(["sh", "-c", script], "cannot", fds).strip()


@as_root
def test_issue_8_16_it_is_another_user_without_groups_and_rights() -> None:
    assert sh("id -u; id -g; id -G").splitlines() == [str(user())] * 3
    process = start_confined(["sleep", "60"], Reach())
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    finally:
        kill(process)
    status = {
        name: int(value.split()[0], 16)
        for name, value in (line.split(":\t", 1) for line in lines[8:] if "Cap" in line or "NoNew" in line)
    }
    assert status["NoNewPrivs"] == 1
    assert [status[name] for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]


@with_landlock
@pytest.mark.parametrize("place", ["/etc/passwd", "/proc/1/environ", "/tmp", "/root", "/dev/tty"])
def test_issue_8_16_it_reads_nothing_but_programs_and_libraries(place: str) -> None:
    found = run_confined(["ls" if Path(place).is_dir() else "cat", place], Reach())
    assert found.code != 0 and "denied" in found.reason


@with_landlock
def test_issue_8_16_it_writes_nothing_and_speaks_no_tcp(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    found = run_confined(["sh", "-c", f"echo x >{tmp_path}/x; mkdir {tmp_path}/y"], Reach())
    assert found.code != 0 and list(tmp_path.iterdir()) == []
    if landlock.version() >= 4:
        listens = "import socket; socket.create_server(('127.0.0.1', 0))"
        assert "Permission" in run_confined(["/usr/bin/python3", "-Ic", listens], Reach()).reason


def test_issue_8_16_it_opens_what_it_was_given_and_that_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "given").write_text("given")
    (tmp_path / "given").chmod(0o600)
    with (tmp_path / "given").open("r+b") as file, in_memory(b"in memory") as memory:
        before = os.fstat(file.fileno())
        with lent(file.fileno()):
            assert sh(f"cat {name_of(file)} {name_of(memory)}", file.fileno(), memory.fileno()) == "givenin memory"
            sh(f"echo more >{name_of(file)}", file.fileno())
        after = os.fstat(file.fileno())
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert (tmp_path / "given").read_text() == "more\n"


@with_landlock
def test_issue_8_16_what_was_given_to_be_read_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    (tmp_path / "given").chmod(0o666)
    with (tmp_path / "given").open("rb") as file:
        found = run_confined(["sh", "-c", f"echo more >{name_of(file)}"], Reach((file.fileno(),)))
    assert found.code != 0 and (tmp_path / "given").read_text() == "given"


def test_issue_8_16_it_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://ana:canary@proxy")
    monkeypatch.setenv("SECRET", "canary")
    assert "canary" not in sh("env")


def test_issue_8_16_output_disk_and_time_have_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="the limit 'reader-output'"):
        run_confined(["yes"], Reach())
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 98, 2))
        with pytest.raises(BuildError, match="the limit 'disk-reserve'"):
            run_confined(["sleep", "60"], Reach(), fills=tmp_path)
    assert run_confined(["sleep", "60"], Reach(), timeout=0.2).code == TIMED_OUT
    with pytest.raises(BuildError, match="cannot: sh: no"):
        sh("echo no >&2; exit 3")
    with pytest.raises(HostError, match="no-such-program"):
        run_confined(["no-such-program"], Reach())


@with_landlock
def test_issue_8_16_a_program_elsewhere_is_named(tmp_path: Path) -> None:
    own = Path(shutil.copy("/bin/true", tmp_path / "own"))
    with pytest.raises(HostError, match=r"own without root's rights .* must lie below /usr"):
        run_confined([own], Reach())


def test_issue_8_16_without_landlock_the_rest_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert sh("echo $LC_ALL") == "C.UTF-8"
