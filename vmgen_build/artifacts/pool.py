"""Work on several cores whose results come in the order of the work, with a bound on what is under way."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH = 16
"""Grains of one piece of work: 1 MiB of a disk. It divides the entries of a grain table."""

_MOST = 16


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int | None) -> Iterator[R]:
    """`work` of each item, in threads: it must release the interpreter lock where its time goes, as libdeflate does.

    At most three items for each worker are under way or wait to be taken, which bounds the memory. workers: None for
    one per core that this process may use. An exception of `work`, or of the taker, cancels what has not begun.
    """
    workers = workers or min(_MOST, len(os.sched_getaffinity(0)))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="deflate")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= 3 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
