"""Work in several children at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmgen_build.errors import HostError, VmgenError
from vmgen_build.events import Bus, Event, Note
from vmgen_build.host.channel import WorkerCrashError
from vmgen_build.host.sidebyside import Ended, Work, side_by_side


def nothing() -> None:
    return None


def ended(works: list[Work[str]], jobs: int, bus: Bus | None = None) -> list[Ended[str]]:
    return sorted(side_by_side(iter(works), jobs, bus or Bus(), nothing), key=lambda each: each.index)


def test_results_and_errors_come_back_each_with_its_index() -> None:
    error = HostError("no room")
    error.not_undone = ("a mount",)

    def lacking(_: Bus) -> str:
        raise error

    done = ended([lambda _: "a", lacking, lambda _: "c"], 2)
    assert [(each.index, each.result) for each in done] == [(0, "a"), (1, None), (2, "c")]
    assert str(done[1].error) == str(error)
    assert done[0].error is done[2].error is None


def test_events_reach_the_bus_of_the_parent() -> None:
    texts: list[str] = []

    def listen(event: Event) -> None:
        assert isinstance(event, Note)
        texts.append(event.text)

    def noting(text: str) -> Work[str]:
        def work(bus: Bus) -> str:
            bus.note(text)
            bus.settle()
            return text

        return work

    ended([noting("one"), noting("two")], 2, Bus(listen))
    assert sorted(texts) == ["one", "two"]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_as_many_run_at_a_time_as_may(tmp_path: Path, jobs: int) -> None:
    """Each ends once so many of them are there together."""

    def work(_: Bus) -> str:
        (tmp_path / str(os.getpid())).touch()
        while (number := len(list(tmp_path.iterdir()))) < jobs:
            time.sleep(0.01)
        return str(number)

    running = side_by_side(iter([work] * jobs), jobs, Bus(), nothing)
    assert [each.result for each in running] == [str(jobs)] * jobs


def test_the_next_is_asked_for_when_there_is_room_for_it() -> None:
    asked: list[int] = []

    def works() -> Iterator[Work[str]]:
        for number in range(4):
            asked.append(number)
            yield lambda _: ""

    for count, _ in enumerate(side_by_side(works(), 1, Bus(), nothing), 1):
        assert len(asked) == count
    assert asked == [0, 1, 2, 3]


def test_a_bug_ends_the_others_and_is_raised(tmp_path: Path) -> None:
    def buggy(_: Bus) -> str:
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        raise ZeroDivisionError("oops")

    def waiting(_: Bus) -> str:
        try:
            (tmp_path / "begun").touch()
            time.sleep(60)
        finally:
            (tmp_path / "undone").touch()
        return ""

    with pytest.raises(WorkerCrashError, match="ZeroDivisionError"):
        ended([waiting, buggy], 2)
    assert (tmp_path / "undone").exists()


def test_a_child_that_is_killed_is_an_error_of_its_own() -> None:
    def killed(_: Bus) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    first, second = ended([killed, lambda _: "b"], 2)
    assert isinstance(first.error, VmgenError)
    assert "killed" in str(first.error)
    assert second.result == "b"


def test_what_is_not_begun_is_not_begun_after_an_error_of_the_caller(tmp_path: Path) -> None:
    def touching(name: str) -> Work[str]:
        def work(_: Bus) -> str:
            (tmp_path / name).touch()
            return name

        return work

    before = signal.getsignal(signal.SIGTERM)
    running = side_by_side(iter([touching("a"), touching("b")]), 1, Bus(), nothing)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert signal.getsignal(signal.SIGTERM) == before


STOPPED = """
import sys, time
from pathlib import Path
from vmgen_build.events import Bus
from vmgen_build.host.sidebyside import side_by_side

place = Path(sys.argv[1])

def work(name):
    def run(_):
        try:
            (place / f"{name}-begun").touch()
            time.sleep(60)
        finally:
            time.sleep(0.2)
            (place / f"{name}-undone").touch()
    return run

try:
    list(side_by_side(iter([work(n) for n in "abc"]), 2, Bus(), lambda: None))
except KeyboardInterrupt:
    sys.exit(130)
"""


def begun(tmp_path: Path, prepare: Callable[[], object] | None = None) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", STOPPED, str(tmp_path)], preexec_fn=prepare)
    while len(list(tmp_path.glob("*-begun"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def as_a_shell_starts_it() -> None:
    """Whatever runs the tests may have switched some off."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_reaches_all_and_nothing_more_is_begun(tmp_path: Path, number: signal.Signals) -> None:
    process = begun(tmp_path, as_a_shell_starts_it)
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait() == 130
    assert {path.name for path in tmp_path.iterdir()} == {"a-begun", "b-begun", "a-undone", "b-undone"}


def test_a_hangup_that_nohup_switched_off_stops_nothing(tmp_path: Path) -> None:
    process = begun(tmp_path, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    assert not list(tmp_path.glob("*-undone"))
    process.terminate()
    assert process.wait() == 130
