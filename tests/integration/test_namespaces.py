"""The worker's world ends with it: mounts, processes, network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmgen_build.errors import Position, Problem, RecipeError, StepFailed, VmgenError
from vmgen_build.events import Bus, Event, Note
from vmgen_build.host import syscalls as sc
from vmgen_build.host.channel import WorkerBus, WorkerCrashError
from vmgen_build.host.namespaces import run_isolated

SLEEPER = """
import subprocess, sys, time
from pathlib import Path
from vmgen_build.events import Bus
from vmgen_build.host import syscalls as sc
from vmgen_build.host.namespaces import run_isolated

def work(bus):
    sc.mount("tmpfs", sys.argv[1], "tmpfs")
    Path(sys.argv[1], "inside").touch()
    subprocess.Popen(["sleep", "987654"], start_new_session=True)
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        time.sleep(0.3)
        Path(sys.argv[2]).touch()
        raise

try:
    run_isolated(work, Bus())
except KeyboardInterrupt:
    sys.exit(130)
"""


def sleepers() -> str:
    return subprocess.run(["pgrep", "-f", "sleep 987654"], capture_output=True, text=True).stdout


def start(tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "mnt").mkdir()
    command = [sys.executable, "-c", SLEEPER, str(tmp_path / "mnt"), str(tmp_path / "undone")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_result_and_the_events_come_back() -> None:
    received: list[Event] = []

    def work(bus: WorkerBus) -> dict[str, int]:
        bus.note("hello")
        return {"pid": os.getpid()}

    assert run_isolated(work, Bus(received.append)) == {"pid": 1}
    assert [e.text for e in received if isinstance(e, Note)] == ["hello"]


@pytest.mark.parametrize(
    "error",
    [
        StepFailed("users", 3, ["last line"], Path("/var/log/x")),
        RecipeError([Problem(Position("a.ini", 3), "[x] y", "wrong")]),
        VmgenError("plain"),
    ],
)
def test_an_error_of_ours_comes_back_as_it_was(error: VmgenError) -> None:
    def work(bus: WorkerBus) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_isolated(work, Bus())
    assert str(caught.value) == str(error)
    assert caught.value.__dict__ == error.__dict__


def test_a_bug_comes_back_with_its_traceback() -> None:
    def work(bus: WorkerBus) -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(WorkerCrashError, match="ZeroDivisionError"):
        run_isolated(work, Bus())


def test_mounts_and_network_are_the_workers_own(tmp_path: Path) -> None:
    def work(bus: WorkerBus) -> str:
        sc.mount("tmpfs", tmp_path, "tmpfs")
        (tmp_path / "x").touch()
        subprocess.run(["ip", "link", "add", "vmgentest0", "type", "bridge"], check=True)
        return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout

    seen = run_isolated(work, Bus(), net=True)
    assert "vmgentest0" in seen and "eth0" not in seen
    assert not (tmp_path / "x").exists()
    assert not Path("/sys/class/net/vmgentest0").exists()


def test_an_interrupt_lets_the_worker_undo_and_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert (tmp_path / "undone").exists()
    assert list((tmp_path / "mnt").iterdir()) == []
    assert sleepers() == ""


def test_kill_9_leaves_no_mount_and_no_process(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers() == ""
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_worker_is_being_made_is_not_lost(number: int) -> None:
    """It goes to the process that makes it, as one of a terminal's Ctrl-C does. Found by the campaign of issue 8."""
    script = (
        "import os, signal, sys, time\n"
        "from vmgen_build.events import Bus\n"
        "from vmgen_build.host import namespaces\n"
        "real = namespaces.sc.unshare\n"
        "def unshare(flags):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    real(flags)\n"
        "namespaces.sc.unshare = unshare\n"
        "try:\n"
        "    namespaces.run_isolated(lambda bus: time.sleep(20), Bus())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout == "interrupted\n", ran.stderr
