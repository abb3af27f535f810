"""The commands vmgen-build, which is python -m vmgen_build too, and vmgctl: until all is imported, Ctrl-C ends them
without a word.

What is imported is no garbage, and the process's end takes it away: Python is kept from looking through it, which is a
sixth of what a check takes.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

COLLECTED = 20_000
"""New objects of which those that lie in circles are looked for; 700 by default."""


def main() -> None:
    with _started():
        if os.environ.get("_VMGEN_BUILD_COMPLETE"):
            from vmgen_build.cli.completing import answer_shell

            answer_shell()
        from vmgen_build.cli.main import main as run

        run()


def vmgctl() -> None:
    with _started():
        if os.environ.get("_VMGEN_BUILD_COMPLETE"):
            from vmgen_build.cli.completing import answer_editor

            answer_editor()
        from vmgen_build.cli.vmgctl import main as run

        run()


@contextmanager
def _started() -> Iterator[None]:
    _end_silently()
    gc.set_threshold(COLLECTED)
    try:
        yield
    finally:
        gc.freeze()


def _end_silently() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))


if __name__ == "__main__":
    main()
