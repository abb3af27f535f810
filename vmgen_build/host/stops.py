"""The signals that ask a build to stop: the first one interrupts it, and the undoing that follows is left in peace."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """A handler: raises KeyboardInterrupt, and lets nothing interrupt a second time."""
    ignore_stops()
    raise KeyboardInterrupt


def ignore_stops() -> None:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def undisturbed() -> Iterator[None]:
    """The body is not interrupted; a signal that came meanwhile interrupts after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
