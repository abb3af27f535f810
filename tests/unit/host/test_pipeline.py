"""Programs that read from each other, for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host.memory import available
from vmgen_build.host.pipeline import pipeline


def test_each_reads_what_the_one_before_writes(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("b\na\n")
    with (
        (tmp_path / "in").open("rb") as source,
        pipeline({"sort": ["sort"], "upper": ["tr", "a-z", "A-Z"]}, stdin=source) as running,
    ):
        assert running.output.read() == b"A\nB\n"
        assert running.failure() == ""


def test_the_one_that_failed_is_named_and_not_the_one_that_it_ended() -> None:
    bad = ["sh", "-c", "head -c 10 >/dev/null; echo no wits >&2; exit 3"]
    with pipeline({"endless": ["yes"], "bad": bad}) as running:
        assert running.output.read() == b""
        assert running.failure() == "bad: no wits"
    with pipeline({"silent": ["sh", "-c", "exit 4"]}) as running:
        assert running.failure() == "silent: it ended with 4"


def test_leaving_it_ends_all() -> None:
    with pytest.raises(KeyboardInterrupt), pipeline({"a": ["sleep", "100"], "b": ["cat"]}) as running:
        processes = [link.process for link in running.links]
        raise KeyboardInterrupt
    assert all(process.returncode == -9 for process in processes)


def test_what_is_missing_leaves_none_running() -> None:
    with (
        pytest.raises(HostError, match="this host lacks no-such-program"),
        pipeline({"a": ["yes"], "b": ["no-such-program"]}),
    ):
        pass


def test_the_memory_that_programs_can_have(tmp_path: Path) -> None:
    assert available() > 1 << 20
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:    4096 kB\n")
    assert available(tmp_path / "meminfo") == 4 << 20
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\n")
    with pytest.raises(HostError, match="has no MemAvailable"):
        available(tmp_path / "meminfo")
