"""Issue 8, item 12: a foreign program's output is read up to a limit; real programs."""

from __future__ import annotations

from vmgen_build.errors import TIMED_OUT
from vmgen_build.host.bounded import TOO_MUCH, finish_within
from vmgen_build.host.run import PIPE, TOGETHER, start
from vmgen_build.limits import Limit

LIMIT = Limit("little", "", 100_000)


def test_issue_8_12_a_program_that_prints_without_end_is_ended() -> None:
    process = start(["yes"])
    ended = finish_within(process, LIMIT)
    assert ended.code == TOO_MUCH and process.poll() == -9
    assert len(ended.out) == LIMIT.amount and "limit 'little'" in ended.reason


def test_issue_8_12_both_streams_count() -> None:
    script = "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2"
    assert finish_within(start(["sh", "-c", script], stderr=PIPE), LIMIT).code == TOO_MUCH


def test_what_fits_comes_whole_with_its_code() -> None:
    ended = finish_within(start(["sh", "-c", "head -c 99999 /dev/zero; exit 3"]), LIMIT)
    assert (ended.code, len(ended.out)) == (3, 99_999)


def test_more_is_written_than_a_pipe_takes() -> None:
    data = bytes(range(256)) * 4000
    ended = finish_within(
        start(["sh", "-c", "cat | sha256sum; echo why >&2"], stdin=PIPE, stderr=TOGETHER), LIMIT, data
    )
    import hashlib

    assert ended.text == f"{hashlib.sha256(data).hexdigest()}  -\nwhy\n"


def test_nobody_reads_and_that_is_no_error() -> None:
    assert finish_within(start(["true"], stdin=PIPE), LIMIT, bytes(1 << 20)).code == 0


def test_one_that_stays_silent_has_its_time() -> None:
    ended = finish_within(start(["sh", "-c", "echo begun; sleep 100"]), LIMIT, timeout=0.5)
    assert (ended.code, ended.out) == (TIMED_OUT, b"begun\n")


def test_one_that_closes_its_streams_has_its_time_too() -> None:
    assert finish_within(start(["sh", "-c", "exec >&- 2>&-; exec sleep 100"]), LIMIT, timeout=0.5).code == TIMED_OUT
