"""Work on several cores whose results come in the order of the work, with a bound on what is under way."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from vmgen_build.syscalls import set_death_signal

T = TypeVar("T")
R = TypeVar("R")

BATCH = 16
"""Grains of one piece of work: 1 MiB of a disk. It divides the entries of a grain table."""

_MOST = 16

_FEW = 8
"""Pieces of work for which no process is worth its start."""


def in_order(
    work: Callable[[T], R], items: Iterable[T], workers: int | None, *, processes: bool = False
) -> Iterator[R]:
    """`work` of each item, in threads: it must release the interpreter lock where its time goes, as isal does.

    processes: in processes instead, forked from this one. isal 1.9 deflates some few buffers otherwise, though rightly,
    while another thread of its process deflates too: 1 in 10,000 with four threads, none of 45,000 in processes.
    At most three items for each worker are under way or wait to be taken, which bounds the memory. workers: None for
    one per core that this process may use. An exception of `work`, or of the taker, cancels what has not begun.
    """
    workers = workers or min(_MOST, len(os.sched_getaffinity(0)))
    items = iter(items)
    head = list(islice(items, _FEW))
    if processes and (workers == 1 or len(head) < _FEW):
        yield from map(work, chain(head, items))
        return
    pool = _processes(workers) if processes else ThreadPoolExecutor(workers, thread_name_prefix="vmdk")
    pending: deque[Future[R]] = deque()
    try:
        for item in chain(head, items):
            pending.append(pool.submit(work, item))
            if len(pending) >= 3 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _processes(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=_begin)


def _begin() -> None:
    """In a new process: an interrupt is left to the parent, whose death this process does not outlive."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_death_signal(signal.SIGKILL)
