"""Work on several cores in the order of the work."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vmgen_build.artifacts import pool
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


def test_a_failure_ends_it_and_cancels_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six items that are under way, the first fails while two threads are held in the next ones."""
    shut = threading.Event()
    begun: list[int] = []

    class Watched(ThreadPoolExecutor):
        """Lets the held threads go once it has been shut down, before it waits for them."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            shut.set()
            super().shutdown(wait=wait)

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("zero")
        assert shut.wait(30)

    monkeypatch.setattr(pool, "ThreadPoolExecutor", Watched)
    with pytest.raises(ValueError, match="zero"):
        list(pool.in_order(work, range(100), 2))
    assert shut.is_set()
    assert 0 in begun and set(begun) <= {0, 1, 2}
