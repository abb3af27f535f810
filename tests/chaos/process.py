"""One run of the tool, listened to and followed, and the processes that come from it.

The campaign is a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): a process that outlives its parent becomes a child
of the campaign's, so that none of a build's tree is lost sight of.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_SUBREAPER = 36

Event = dict[str, Any]


def adopt_orphans() -> None:
    """From now on, for this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def tree(pid: int) -> list[int]:
    """The living processes below this one, those nearest first; itself is not among them."""
    found, parents = [], [pid]
    while parents:
        parents = [child for parent in parents for child in _children(parent)]
        found += parents
    return [each for each in found if state_of(each) not in ("Z", "X", "")]


def _children(pid: int) -> list[int]:
    words: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            words += task.read_text().split()
    return [int(word) for word in words]


def state_of(pid: int) -> str:
    """The letter of proc_pid_stat(5); "" for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def named(pid: int) -> str:
    """For messages: its number and its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return f"{pid} {words[:160]}"


def send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Run:
    """A build that was started. events: what it printed so far. struck: whether its moment came.

    code: its exit code once it has ended, negative for the signal that ended it.
    """

    def __init__(self, words: Sequence[object], environ: Mapping[str, str], folder: Path) -> None:
        self.events: list[Event] = []
        self.struck = False
        self._changed = threading.Condition()
        self._errors = folder / f"errors-{time.monotonic_ns()}"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vmgen_build", *map(str, words), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environ),
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"{"):
                with suppress(ValueError), self._changed:
                    self.events.append(json.loads(line))
                    self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        return self.process.poll()

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    def processes(self) -> list[int]:
        """The build's own first."""
        return [self.pid, *tree(self.pid)] if self.code is None else []

    def until(self, reached: Callable[[Run], bool]) -> bool:
        """Wait for a moment. False where the build was over before it came."""
        while self.code is None:
            if reached(self):
                return True
            with self._changed:
                self._changed.wait(0.01)
        return False

    def end(self, seconds: float) -> bool:
        """Wait for its end. False where it does not end in so many seconds; it is killed then, with its tree."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.processes():
                send(pid, signal.SIGKILL)
            self.process.wait()
            return False
        finally:
            self._reader.join(10)
        return True


def steps_of(events: Sequence[Event]) -> int:
    """How many of these say that the build has come further, for moments that count events."""
    return sum(1 for event in events if event["event"] != "step-progress")
