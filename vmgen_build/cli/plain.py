"""What happens, as plain lines: for pipes, logs of CI, dumb terminals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import TracebackType
from typing import TextIO

from vmgen_build import events as e
from vmgen_build.errors import VmgenError
from vmgen_build.text import clean, duration

TITLE_WIDTH = 34
"""Columns of a step's title, where they are aligned."""


class Verbosity(IntEnum):
    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class Plain:
    """Writes to one stream (standard error); results are not its business. A closed stream silences it."""

    def __init__(self, stream: TextIO, verbosity: Verbosity, stamps: bool = False) -> None:
        """stamps: whether lines begin with the time of day; warnings and errors begin with their place."""
        self.stream = stream
        self.verbosity = verbosity
        self._stamps = stamps
        self._stamp = ""
        self.side_by_side = False
        """Whether several recipes are built at a time: each line says then which one it is about."""
        self.about = ""
        """What each line begins with: the recipe of the event that is shown, where there are several."""

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End whatever moves on the screen."""

    def annotate(self, error: VmgenError) -> None:
        """Show an error at its line, where a service that runs us can; its text is shown by itself."""

    def activity(self, title: str) -> None:
        """Show that something runs which is no step, until `close`: nothing here, where nothing moves."""

    def tick(self) -> None:
        """Some time has passed: what moves on the screen may move."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While others write to the terminal."""
        yield

    def __call__(self, event: e.Event) -> None:
        self.about = f"{clean(event.recipe)}: " if self.side_by_side and event.recipe else ""
        urgent = isinstance(event, e.Note) and event.level != "info"
        self._stamp = time.strftime("%H:%M:%S ", time.localtime(event.time)) if self._stamps and not urgent else ""
        try:
            self.show(event)
        except (OSError, ValueError):
            self.verbosity = Verbosity.QUIET

    def show(self, event: e.Event) -> None:
        if isinstance(event, e.Note):
            self.note(event)
        elif self.verbosity is Verbosity.QUIET:
            return
        elif isinstance(event, e.StepStarted):
            self.step_started(event)
        elif isinstance(event, e.StepOutput):
            self.step_output(event)
        elif isinstance(event, e.StepProgress):
            self.step_progress(event)
        elif isinstance(event, e.StepFinished):
            self.step_finished(event)
        elif isinstance(event, e.BuildStarted):
            log = f" (log: {event.log})" if event.log else ""
            self.about = f"{clean(event.recipe)}: "
            self.write(f"building for {event.backend}, {event.steps} steps{log}", "bold")
        elif isinstance(event, e.ProbeDone):
            self.probe_done(event)

    def note(self, note: e.Note) -> None:
        urgent = note.level in ("warning", "error")
        if not urgent and self.verbosity < (Verbosity.VERBOSE if note.verbose else Verbosity.NORMAL):
            return
        if note.level == "warning" and self.verbosity is Verbosity.QUIET:
            return
        if self.about and note.text.startswith(clean(note.recipe)):
            self.about = ""
        for line in note.text.splitlines() or [""]:
            self.write(clean(line), {"error": "red", "warning": "yellow"}.get(note.level, ""))

    def write(self, text: str, style: str = "") -> None:
        """One line, made safe. style: "", "bold", "dim", "red", "green" or "yellow", where the display has any."""
        self.put(self._stamp + self.about + clean(text), style)

    def put(self, text: str, style: str) -> None:
        """A line that is safe already, or has the display's own colours in it."""
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def step_started(self, event: e.StepStarted) -> None:
        self.write(f"{_number(event)} {clean(event.title)} ...")

    def step_output(self, event: e.StepOutput) -> None:
        if self.verbosity is Verbosity.VERBOSE:
            self.write(f"  | {clean(event.line)}", "dim")

    def step_progress(self, event: e.StepProgress) -> None:
        """A bar's business."""

    def step_finished(self, event: e.StepFinished) -> None:
        what = {"built": f"done in {duration(event.seconds)}", "failed": f"failed after {duration(event.seconds)}"}
        self.write(f"{_number(event)} {clean(event.title)}: {what.get(event.outcome, event.outcome)}")

    def probe_done(self, event: e.ProbeDone) -> None:
        if self.verbosity is Verbosity.VERBOSE:
            self.write(f"  {event.outcome}: {clean(event.setting)}: {clean(event.found)}", "dim")


def _number(event: e.StepStarted | e.StepFinished) -> str:
    return f"[{event.index}/{event.total}]"
