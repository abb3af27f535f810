"""One stream of what happens. The console, the log file and --json only listen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vmgen_build.text import without_passwords


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened. `time` is seconds since the epoch; `kind` names the event in --json. recipe: the one that is
    built, as the user named it; "" for what belongs to no build."""

    kind: ClassVar[str] = ""
    time: float = field(default_factory=time.time)
    recipe: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Flat and JSON-ready: {"event": kind, "time": ..., fields...}; "recipe" where it belongs to one."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "recipe" or self.recipe]
        values = {name: getattr(self, name) for name in names}
        return {"event": self.kind} | {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """A sentence for the user. level: "info", "warning" or "error"; verbose ones show with -v only."""

    kind = "note"
    text: str
    level: str = "info"
    verbose: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", without_passwords(self.text))


@dataclass(frozen=True, kw_only=True)
class BuildStarted(Event):
    """titles: of all steps, in their order."""

    kind = "build-started"
    backend: str
    steps: int
    log: Path | None = None
    titles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    """index counts from 1; total is the plan's number of steps, the base and packing included."""

    kind = "step-started"
    step: str
    title: str
    id: str
    index: int
    total: int


@dataclass(frozen=True, kw_only=True)
class StepOutput(Event):
    """One line that the step printed, without its line end."""

    kind = "step-output"
    step: str
    line: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", without_passwords(self.line))


@dataclass(frozen=True, kw_only=True)
class StepProgress(Event):
    """done of total, in the unit that it names ("bytes", "packages"); total 0 where it is not known."""

    kind = "step-progress"
    step: str
    done: int
    total: int
    unit: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class StepFinished(Event):
    """outcome: "built", "cached" or "failed"; seconds is its wall time."""

    kind = "step-finished"
    step: str
    title: str
    id: str
    index: int
    total: int
    outcome: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ArtifactWritten(Event):
    kind = "artifact"
    path: Path
    size: int
    sha256: str
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class ProbeDone(Event):
    """One setting of the recipe looked at in the booted machine. outcome: "holds", "fails" or "skipped". origin: whose
    question it is, as VerifyFinished.asked."""

    kind = "probe"
    probe: str
    setting: str
    outcome: str
    found: str = ""
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyStarted(Event):
    kind = "verify-started"
    artifact: Path


@dataclass(frozen=True, kw_only=True)
class VerifyFinished(Event):
    """outcome: "passes" or "fails". asked: whose questions, "" where it did not get that far: "lab.ini", "its own
    manifest". holds, fails, skipped: numbers of probes. error: why it ended before all were asked, "" where it did
    not."""

    kind = "verify-finished"
    artifact: Path
    outcome: str
    asked: str
    holds: int
    fails: int
    skipped: int
    error: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class BuildFinished(Event):
    kind = "build-finished"
    backend: str
    outcome: str
    seconds: float
    skipped: tuple[str, ...] = ()


Listener = Callable[[Event], None]


class Bus:
    """Hands each event to every listener, in the order they were added. A listener must not raise."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def add(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def settle(self) -> None:
        """Wait until every event so far has been listened to. Here it has: listeners are called at once."""

    def note(self, text: str, level: str = "info", verbose: bool = False) -> None:
        self.emit(Note(text=text, level=level, verbose=verbose))


class RecipeBus(Bus):
    """Marks each event with the recipe that is built, and hands it on."""

    def __init__(self, recipe: str, bus: Bus) -> None:
        super().__init__()
        self._recipe, self._bus = recipe, bus

    def emit(self, event: Event) -> None:
        marked = dataclasses.replace(event, recipe=self._recipe)
        super().emit(marked)
        self._bus.emit(marked)

    def settle(self) -> None:
        self._bus.settle()
