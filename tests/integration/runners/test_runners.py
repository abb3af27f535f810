"""Commands on this host and by ssh on a real sshd: the same for both."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.integration.sshd import Sshd
from vmgen_build.errors import BuildError
from vmgen_build.guests.runners import Runner

BIG = 200_000_000


def gone(pattern: str, seconds: float = 3.0) -> bool:
    """Whether no process has `pattern` in its command line, soon."""
    end = time.monotonic() + seconds
    while found := subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode == 0:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return not found


def test_streams_codes_and_surroundings(runner: Runner) -> None:
    done = runner.run(["sh", "-c", 'echo "$1 $LC_ALL"; echo wrong >&2; exit 3', "sh", 'it\'s $HOME; "x" \\ *\n'])
    assert (done.code, done.err) == (3, "wrong\n")
    assert done.out == 'it\'s $HOME; "x" \\ *\n C\n'
    assert runner.run(["sh", "-c", "kill -9 $$"]).code == 137
    assert runner.run(["sh", "-c", "kill -TERM $$"]).code == 143
    assert runner.run(["no-such-program"]).code == 127
    assert runner.run(["sh", "-c", r"printf '\303\244\377'"]).out == "ä\ufffd"
    assert runner.run(["sh", "-c", "command -v ldconfig"]).code == 0


def test_large_streams_at_once(runner: Runner) -> None:
    data = os.urandom(8_000_000)
    done = runner.run(["sh", "-c", "tee /dev/stderr"], data=data, timeout=60)
    assert done.code == 0
    assert done.out == done.err == data[-(1 << 20) :].decode(errors="replace")
    assert runner.run(["wc", "-c"], data=io.BytesIO(data)).out.strip() == str(len(data))
    assert runner.run(["true"], data=data).code == 0


def test_lines_come_as_they_are_written(runner: Runner) -> None:
    came: list[tuple[str, float]] = []
    began, thread = time.monotonic(), threading.get_ident()

    def output(line: str) -> None:
        assert threading.get_ident() == thread
        came.append((line, time.monotonic() - began))

    done = runner.run(["sh", "-c", "echo one; echo two >&2; sleep 1; printf three"], output=output)
    assert sorted(line for line, _ in came) == ["one", "three", "two"]
    assert [when < 0.9 for line, when in came if line != "three"] == [True, True]
    assert (done.out, done.err) == ("one\nthree", "two\n")


def test_an_output_that_fails_ends_the_command(runner: Runner) -> None:
    def output(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="now"):
        runner.run(["sh", "-c", "echo now; exec sleep 98.76"], output=output)
    assert gone("sleep 98.76")


def test_a_source_that_fails_ends_the_command(runner: Runner) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        runner.run(["sh", "-c", "cat; sleep 98.75"], data=Broken(b"x"), timeout=20)


def test_timeout_ends_all_children(runner: Runner) -> None:
    began = time.monotonic()
    done = runner.run(["sh", "-c", "echo begun; sleep 98.74 & sleep 98.74; true"], timeout=1)
    assert (done.code, done.out) == (124, "begun\n")
    assert time.monotonic() - began < 5
    assert gone("sleep 98.74")


def test_timeout_of_what_ignores_sigterm(runner: Runner) -> None:
    done = runner.run(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], timeout=0.5)
    assert done.code == 124


def test_a_daemon_left_behind_does_not_hold_us(runner: Runner) -> None:
    began = time.monotonic()
    done = runner.run(["sh", "-c", "setsid sleep 30.31 & echo done"], timeout=25)
    try:
        assert (done.code, done.out) == (0, "done\n")
        assert time.monotonic() - began < 15
    finally:
        for pid in subprocess.run(["pgrep", "-f", "sleep 30.31"], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGTERM)


def test_read(runner: Runner) -> None:
    with runner.read(["cat"], data=b"through\n") as stream:
        assert stream.read() == b"through\n"
    with (
        pytest.raises(BuildError, match=r"(?s)exit code 3.*no room"),
        runner.read(["sh", "-c", "echo part; echo no room >&2; exit 3"]) as stream,
    ):
        assert stream.read() == b"part\n"
    with runner.read(["sh", "-c", "yes vmgen-98.73"]) as stream:
        assert stream.read(12) == b"vmgen-98.73\n"
    assert gone("yes vmgen-98.73")


def test_hold(runner: Runner) -> None:
    script = "echo ready; read word; echo got $word; cat >/dev/null; echo cleaned; exit 4"
    with runner.attach(["sh", "-c", script]) as attached:
        assert attached.receive(10) == "ready"
        attached.send("it's")
        assert attached.receive(10) == "got it's"
        with pytest.raises(TimeoutError):
            attached.receive(0.1)
    done = attached.end()
    assert (done.code, done.out) == (4, "cleaned\n")


def test_hold_cleans_up_after_an_exception(runner: Runner, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        runner.attach(["sh", "-c", f"echo ready; cat >/dev/null; sleep 0.5; echo x >{tmp_path}/cleaned"]) as attached,
    ):
        assert attached.receive(10) == "ready"
        raise KeyboardInterrupt
    assert (tmp_path / "cleaned").exists()


def test_hold_of_what_ended(runner: Runner) -> None:
    with runner.attach(["sh", "-c", "echo no lock >&2; exit 5"]) as attached:
        assert attached.receive(10) is None
        with pytest.raises(BuildError, match=r"(?s)exit code 5.*no lock"):
            for _ in range(20):
                attached.send("word")
                time.sleep(0.05)


def test_several_at_once(runner: Runner) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append(runner.run(["sh", "-c", f"sleep 0.3; echo {n}"]).out))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [f"{n}\n" for n in range(6)]


MEMORY = f"""
import pathlib, sys
from vmgen_build.guests.runners import connect, parse_host
with connect(parse_host(sys.argv[1])) as runner:
    with runner.read(["head", "-c", "{BIG}", "/dev/zero"]) as stream:
        total = sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 18), b""))
    with runner.read(["head", "-c", "{BIG}", "/dev/zero"]) as stream:
        counted = runner.run(["wc", "-c"], data=stream).out
peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(total, int(counted), int(peak) // 1024)
"""


@pytest.mark.parametrize("where", ["local", "ssh"])
def test_streams_take_constant_memory(where: str, server: Sshd) -> None:
    url = "local" if where == "local" else server.url
    ran = subprocess.run([sys.executable, "-c", MEMORY, url], capture_output=True, text=True, timeout=120)
    total, counted, peak = map(int, ran.stdout.split())
    assert (total, counted) == (BIG, BIG)
    assert peak < 100, f"{peak} MiB"
