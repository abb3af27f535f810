"""The signals that ask a build to stop: the first one interrupts it, and the undoing that follows is left in peace."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], object]


def heeded_stops() -> tuple[signal.Signals, ...]:
    """Those of the signals that are not switched off: nohup(1) does that with SIGHUP."""
    return tuple(number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


def take_stops(handler: Handler) -> dict[signal.Signals, Any]:
    """Have those that are heeded go to this handler; what they went to before, for `give_back`."""
    return {number: signal.signal(number, handler) for number in heeded_stops()}


def give_back(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """A handler: raises KeyboardInterrupt, and lets nothing interrupt a second time."""
    ignore_stops()
    raise KeyboardInterrupt


def ignore_stops() -> None:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def disturbed(work: Callable[[], T]) -> T:
    """In a child that was forked within `undisturbed`: they reach the work, and nothing before or after it."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return work()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


@contextmanager
def undisturbed() -> Iterator[None]:
    """The body is not interrupted; a signal that came meanwhile interrupts after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
