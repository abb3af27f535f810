"""Work on several cores in the order of the work."""

from __future__ import annotations

import random
import threading
import time

import pytest

from vmgen_build.artifacts.pool import in_order


def slow_double(number: int) -> tuple[int, str]:
    time.sleep(random.random() / 500)
    return 2 * number, threading.current_thread().name


def test_several_do_the_work_and_the_order_stays() -> None:
    found = list(in_order(slow_double, range(100), 3))
    assert [value for value, _ in found] == [2 * n for n in range(100)]
    assert len({name for _, name in found}) == 3


def test_no_more_is_taken_than_is_under_way() -> None:
    taken: list[int] = []

    def items() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(slow_double, items(), 2)  # type: ignore[arg-type]
    next(results)
    assert len(taken) <= 7
    results.close()  # type: ignore[attr-defined]


def test_a_failure_ends_it() -> None:
    def fail(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    with pytest.raises(ValueError, match="five"):
        list(in_order(fail, range(100), 2))
