"""Work on foreign text that must end: processor time and memory, counted for this process by the kernel.

Two timers of setitimer(2), which no child inherits: the first asks Python to stop, the second, whose signal nobody
catches, ends the process where it is deep in a C function and cannot be asked. Memory: RLIMIT_AS of setrlimit(2).
"""

from __future__ import annotations

import re
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.limits import Limit

_GRACE = 10.0
"""Seconds of the processor's time between the two timers."""


class _OutOfTime(BaseException):
    """No Exception, so that nothing on the way takes it for an error of its own."""


@contextmanager
def bounded(file: str, time: Limit, memory: Limit) -> Iterator[None]:
    """The body may take that much more of each than was taken before. file: the recipe, as messages name it.

    Raises RecipeError. Only the main thread gets signals (signal(7)); in others memory alone is counted.
    """
    try:
        with _memory(memory.amount), _time(float(time.amount)):
            yield
    except _OutOfTime:
        raise _refused(file, time) from None
    except MemoryError:
        raise _refused(file, memory) from None


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGVTALRM, _stop)
    other = signal.signal(signal.SIGPROF, signal.SIG_DFL)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds + _GRACE)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGVTALRM, handler)
        signal.signal(signal.SIGPROF, other)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


@contextmanager
def _memory(more: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _taken() + more
    known = [limit for limit in (wanted, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _taken() -> int:
    """Bytes of address space of this process (proc(5), VmSize)."""
    found = re.search(r"^VmSize:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _refused(file: str, limit: Limit) -> RecipeError:
    text = f"takes too much {limit.of.partition(' that ')[0]}: {limit.exceeded}; look for loops in its own templates"
    return RecipeError([Problem(Position(file, 0), "", text, code="limit")])
