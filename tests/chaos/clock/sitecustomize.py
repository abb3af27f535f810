"""A wall clock that jumps, for a Python that has this folder on its PYTHONPATH; the monotonic clock goes on.

$VMGEN_CHAOS_CLOCK names a file of the seconds that it is ahead. libfaketime does not do here: with it, a sleep of
Python's fails (EINVAL) after a jump back.
"""

import os
import time

_FILE = os.environ["VMGEN_CHAOS_CLOCK"]
_time, _gmtime, _localtime = time.time, time.gmtime, time.localtime


def _ahead() -> int:
    try:
        with open(_FILE) as file:
            return int(file.read() or 0)
    except OSError:
        return 0


time.time = lambda: _time() + _ahead()
time.time_ns = lambda: int(time.time() * 1e9)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
