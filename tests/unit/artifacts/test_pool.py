"""Work on several cores in the order of the work."""

from __future__ import annotations

import os
import subprocess
import sys

from vmgen_build.artifacts.pool import in_order


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def test_processes_do_the_work_and_the_order_stays() -> None:
    found = list(in_order(double, range(100), 2, processes=True))
    assert [value for value, _ in found] == [2 * n for n in range(100)]
    assert os.getpid() not in {pid for _, pid in found}


def test_little_work_needs_no_process() -> None:
    assert {pid for _, pid in in_order(double, range(5), 2, processes=True)} == {os.getpid()}


def test_processes_do_not_outlive_a_parent_that_is_killed() -> None:
    program = """
import operator, os, signal
from vmgen_build.artifacts.pool import in_order
for pid in in_order(operator.neg, range(1000), 2, processes=True):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    # Its children hold the pipe too: the end of the file comes when the last one is gone.
    assert process.communicate(timeout=30)[0] == b""
    assert process.returncode == -9
