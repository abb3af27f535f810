"""Waiting for a task of a vSphere server, by what its PropertyCollector tells of it.

It is asked again and again: a question that holds nothing on the server outlives a lost connection and an ended
session, which a filter does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.limits import VSPHERE_TASK

if TYPE_CHECKING:
    from pyVmomi import vim

PROPERTIES = ("info.state", "info.progress", "info.error", "info.result", "info.description")

FIRST, LONGEST = 0.2, 2.0
"""Seconds between two questions: the first, and the most after many."""

Progress = Callable[[int], None]
"""Takes percents, when they change."""


def wait_for(
    session: Session,
    task: vim.Task,
    what: str,
    *,
    progress: Progress = lambda _percent: None,
    silence: float = float(VSPHERE_TASK.amount),
    check: Callable[[], None] = lambda: None,
) -> Any:
    """Wait for its end, however long it goes on telling; its result, as the server gives it.

    what: is done, as the message's words. silence: seconds in which nothing of it changes, after which it is given up;
    it goes on there then. check: is called again and again meanwhile, and may raise. Raises HostError or BuildError for
    its fault, and BuildError for its silence.
    """
    seen: dict[str, str] = {}
    changed, pause = time.monotonic(), FIRST
    while True:
        values = values_of(session, what, task, PROPERTIES)
        state = str(values.get("info.state", ""))
        if state == "success":
            return values.get("info.result")
        if state == "error":
            fault = values.get("info.error")
            if fault is None:
                raise HostError(f"{what}: failed, with no reason told")
            raise session.failure(what, fault) from fault
        new = {name: str(value) for name, value in values.items()}
        if new != seen:
            _report(seen, new, progress)
            seen, changed = new, time.monotonic()
        check()
        if time.monotonic() - changed > silence:
            raise _silent(session, what, state, silence)
        time.sleep(min(pause, silence / 2))
        pause = min(LONGEST, pause * 1.5)


def _report(seen: dict[str, str], new: dict[str, str], progress: Progress) -> None:
    percent = new.get("info.progress", "")
    if percent.isdigit() and percent != seen.get("info.progress"):
        progress(int(percent))


def _silent(session: Session, what: str, state: str, silence: float) -> BuildError:
    return BuildError(
        f"{session.where}: {what}: its task has told nothing new for {silence:g} s and is {state or 'unknown'};"
        " look at it in the server's list of recent tasks, and cancel it there"
    )
