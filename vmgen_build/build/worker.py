"""The part of a build that makes things: base, steps, packing; in namespaces of its own, or with a node."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vmgen_build.artifacts.manifest import Package, StepRecord
from vmgen_build.artifacts.result import Result
from vmgen_build.backends.base import Backend, PackOptions
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.events import Bus, StepFinished, StepOutput, StepStarted
from vmgen_build.guests.lxc.workshop import LxcGuest
from vmgen_build.guests.model import Guest, Workshop
from vmgen_build.host.files import Written
from vmgen_build.host.namespaces import WorkerBus
from vmgen_build.plan.model import Base, Plan, Step

TAIL = 20
"""Lines of a failed step's output that the error shows."""

Output = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What a build gives back: the files, what was done for each step, and the image's packages."""

    packed: tuple[Written, ...]
    steps: tuple[StepRecord, ...]
    packages: tuple[Package, ...]


@dataclass(frozen=True)
class Job:
    """One plan to be built, and all that its worker needs.

    packages_step: lists the image's packages, a line "name TAB version TAB architecture" each.
    fresh: layers made by this call, which --no-cache may take; shared by the jobs of one call.
    """

    plan: Plan
    backend: Backend
    options: BuildOptions
    packing: PackOptions
    leased: Path
    log: Path | None
    packages_step: Step
    fresh: set[str] = field(default_factory=set)


class Worker:
    """Builds one plan. Its state is how far the plan has come."""

    def __init__(self, job: Job, bus: Bus, workshop: Workshop) -> None:
        self.job, self.plan, self.bus, self.workshop = job, job.plan, bus, workshop
        self.done: list[str] = []
        self.records: list[StepRecord] = []
        self.total = len(job.plan.steps) + 2

    def build(self) -> Made:
        """All of it, where the workshop's root is at hand."""
        with self.steps_done():
            packages = self.packages()
            with self.workshop.result(self.done) as result:
                packed = self.pack(result)
            return Made(packed, tuple(self.records), packages)

    @contextmanager
    def steps_done(self) -> Iterator[None]:
        """The state after the last step; what it stands on is in use meanwhile."""
        with ExitStack() as undo:
            base = self.plan.base
            self._take_or_make(base, lambda output: self.workshop.make_base(base, self.plan, output), undo)
            for step in self.plan.steps:
                self._take_or_make(step, self._runner(step), undo)
            undo.enter_context(self.workshop.written_back(self.done))
            yield

    def packages(self) -> tuple[Package, ...]:
        lines: list[str] = []
        with self.workshop.guest(self.plan, self.done) as guest:
            code = guest.run_step(self.job.packages_step, lines.append)
        if code != 0:
            raise StepFailed(self.job.packages_step.name, code, lines[-TAIL:], self.job.log)
        rows = (line.split("\t") for line in lines)
        return tuple(sorted(Package(*row) for row in rows if len(row) == 3))

    def pack(self, result: Result) -> tuple[Written, ...]:
        with self._timed("pack", f"packing for {self.plan.backend}", self.plan.id) as outcome:
            outcome.append("built")
            index = len(self.done) + 1
            title = f"packing for {self.plan.backend}"
            self.bus.emit(StepStarted(step="pack", title=title, id=self.plan.id, index=index, total=self.total))
            return self.job.backend.pack(self.plan, result, self.job.options.output, self.job.packing, self.bus)

    def _runner(self, step: Step) -> Callable[[Output], None]:
        return lambda output: self._run(step, output)

    def _usable(self, layer_id: str) -> bool:
        wanted = self.job.options.use_cache or layer_id in self.job.fresh
        return wanted and self.workshop.holds(layer_id)

    def _take_or_make(self, item: Base | Step, make: Callable[[Output], None], undo: ExitStack) -> None:
        with self._timed(item.name, item.title, item.id) as outcome:
            if not self._usable(item.id):
                with self.workshop.claim(item.id):
                    if not self._usable(item.id):
                        outcome.append("built")
                        self._make(item, make)
                    undo.enter_context(self.workshop.in_use(item.id))
            else:
                undo.enter_context(self.workshop.in_use(item.id))
            self.done.append(item.id)

    def _make(self, item: Base | Step, make: Callable[[Output], None]) -> None:
        index = len(self.done) + 1
        self.bus.emit(StepStarted(step=item.name, title=item.title, id=item.id, index=index, total=self.total))
        try:
            make(lambda line: self.bus.emit(StepOutput(step=item.name, line=line)))
        except StepFailed as error:
            hint = self.workshop.trouble() or error.hint
            raise StepFailed(error.step, error.code, error.tail, self.job.log, hint) from error
        except OSError as error:
            said = "\n".join(filter(None, (f"step '{item.name}': {error}", self.workshop.trouble())))
            raise BuildError(said) from error
        self.job.fresh.add(item.id)

    @contextmanager
    def _timed(self, name: str, title: str, id: str) -> Iterator[list[str]]:
        """Tells how a step ended. The body appends "built" to what it is given if it does more than take a layer."""
        outcome: list[str] = []
        start = time.monotonic()
        index = len(self.done) + 1

        def finish(result: str) -> None:
            seconds = time.monotonic() - start
            event = StepFinished(
                step=name, title=title, id=id, index=index, total=self.total, outcome=result, seconds=seconds
            )
            self.bus.emit(event)
            self.records.append(StepRecord(name, title, id, round(seconds, 3), result))

        try:
            yield outcome
        except BaseException:
            finish("failed")
            raise
        finish(outcome[0] if outcome else "cached")

    def _run(self, step: Step, output: Output) -> None:
        tail: deque[str] = deque(maxlen=TAIL)

        def listen(line: str) -> None:
            tail.append(line)
            output(line)

        with self.workshop.guest(self.plan, self.done) as guest:
            code = guest.run_step(step, listen)
            if code != 0:
                self._on_failure(guest, step, code)
                raise StepFailed(step.name, code, tuple(tail), self.job.log)
            guest.keep_layer(step)

    def _on_failure(self, guest: Guest, step: Step, code: int) -> None:
        choice = self.job.options.on_error
        if choice == "keep":
            self.bus.note(guest.keep_for_inspection(step), "warning")
        if choice == "shell" and isinstance(guest, LxcGuest) and isinstance(self.bus, WorkerBus):
            self.bus.note(
                f"step '{step.name}' ended with {code}; this shell is where it failed; leave it to go on", "warning"
            )
            self.bus.settle()
            guest.open_shell(step)
