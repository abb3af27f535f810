"""The part of a build that makes things: base, steps, packing; in namespaces of its own, or with another host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from vmgen_build.artifacts.facts import PackageFacts, PackageList
from vmgen_build.artifacts.manifest import StepRecord
from vmgen_build.artifacts.result import Disks, Result
from vmgen_build.backends.format import Format, PackOptions
from vmgen_build.backends.registry import format_of
from vmgen_build.build.advice import Causes
from vmgen_build.build.diagnosis import Diagnosis, Listener
from vmgen_build.build.job import Build, Made, Stage
from vmgen_build.build.scrubbing import Scrubber, scrubbed
from vmgen_build.build.signed import withdraw_signed
from vmgen_build.errors import BuildError, StepFailed, VmgenError
from vmgen_build.events import Bus, StepFinished, StepStarted
from vmgen_build.guests.model import Guest, Output, StepResult, Workshop
from vmgen_build.host.files import Written, private_files, published
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.host.stops import give_back, interrupt_once, take_stops
from vmgen_build.host.undo import Undo
from vmgen_build.installers import find_installer
from vmgen_build.plan.model import Step

T = TypeVar("T")


def make(build: Build) -> Made:
    """Run the plan in its place, and pack what comes out in namespaces of this host.

    Raises VmgenError, or KeyboardInterrupt once all is undone.
    """
    if build.place.isolated:
        offline = build.options.offline
        return run_isolated(lambda bus: _made_in_one(replace(build, bus=bus)), build.bus, offline=offline)
    with _interrupted_once():
        result, runner, packages = _result(build, lambda result: result)
    packed, record = run_isolated(lambda bus: _pack(replace(build, bus=bus), result), build.bus)
    return Made(packed, (*runner.records, record), packages)


def _made_in_one(build: Build) -> Made:
    (packed, record), runner, packages = _result(build, partial(_pack, build))
    return Made(packed, (*runner.records, record), packages)


def _result(build: Build, use: Callable[[Result], T]) -> tuple[T, PlanRunner, tuple[PackageFacts, ...]]:
    """What `use` makes of what the guest holds after the last step."""
    with build.place.workshop(build) as workshop:
        runner = PlanRunner(build, workshop)
        with runner.steps_done():
            packages = runner.packages()
            with workshop.result(runner.done) as result:
                return use(result), runner, packages


Packed = dict[PackOptions, tuple[Written, ...]]


def _pack(build: Build, result: Result) -> tuple[Packed, StepRecord]:
    plan, stages = build.plan, build.stages

    def work() -> tuple[Packed, str]:
        announce(build.bus, stages[-1], len(stages))
        with private_files(plan.private):
            return _each_packed(build, result), "built"

    return timed(build.bus, stages[-1], len(stages), work)


def _each_packed(build: Build, result: Result) -> Packed:
    """Where one fails, nothing of it stays, and none of the others without a manifest."""
    packed: Packed = {}
    try:
        for packing, form, given in _given(build, result):
            with _no_halves(build.options.output):
                packed[packing] = form.pack(build.plan, given, build.options.output, packing, build.bus)
    except BaseException:
        for files in packed.values():
            with suppress(VmgenError, OSError):
                withdraw_signed(files)
        raise
    return packed


@contextmanager
def _no_halves(folder: Path) -> Iterator[None]:
    """Files that appeared in the folder go where not all could be made, but for what a manifest there describes."""
    with published() as files:
        try:
            yield
        except BaseException:
            with suppress(VmgenError, OSError):
                there = [Written.of(one) for one in files if one.parent == folder and one.is_file()]
                if there:
                    withdraw_signed(there)
            raise


def _given(build: Build, result: Result) -> Iterator[tuple[PackOptions, Format, Result]]:
    """Each format with what it is made of. Those of the root alone come first: disks may take its place. The last may
    have the disks themselves."""
    chosen = [(packing, format_of(build.backend, packing.format)) for packing in build.packings]
    yield from ((packing, form, result) for packing, form in chosen if form.of_root)
    others = [(packing, form) for packing, form in chosen if not form.of_root]
    if others:
        result = build.backend.prepared(build.plan, result, build.bus)
    for left, (packing, form) in zip(reversed(range(len(others))), others, strict=True):
        if left and isinstance(result, Disks):
            yield packing, form, result.linked(result.scratch / f"packed-{left}")
        else:
            yield packing, form, result


def announce(bus: Bus, stage: Stage, total: int) -> None:
    bus.emit(StepStarted(step=stage.name, title=stage.title, id=stage.id, index=stage.index, total=total))


def timed(bus: Bus, stage: Stage, total: int, work: Callable[[], tuple[T, str]]) -> tuple[T, StepRecord]:
    """Do the work of a stage, which gives its result and its outcome ("built" or "cached"), and emit how it ended."""
    start = time.monotonic()

    def ended(outcome: str) -> StepRecord:
        seconds = time.monotonic() - start
        fields = {"step": stage.name, "title": stage.title, "id": stage.id, "index": stage.index, "total": total}
        bus.emit(StepFinished(**fields, outcome=outcome, seconds=seconds))  # type: ignore[arg-type]
        return StepRecord(stage.name, stage.title, stage.id, round(seconds, 3), outcome)

    try:
        result, outcome = work()
    except BaseException:
        ended("failed")
        raise
    return result, ended(outcome)


class PlanRunner:
    """Takes or makes each stage of one build. Its state is how far the plan has come."""

    def __init__(self, build: Build, workshop: Workshop) -> None:
        self.build, self.plan, self.workshop = build, build.plan, workshop
        self._scrubber = Scrubber.of(build.recipe, build.plan)
        self.done: list[str] = []
        self.records: list[StepRecord] = []

    @contextmanager
    def steps_done(self) -> Iterator[None]:
        """The state after the last step; what it stands on is in use meanwhile."""
        with Undo() as undo:
            base, stages = self.plan.base, self.build.stages
            self._stage(stages[0], lambda output: self.workshop.make_base(base, self.plan, output), undo)
            for stage, step in zip(stages[1:], self.plan.steps, strict=False):
                self._stage(stage, partial(self._run, step), undo)
            undo.enter_context(self.workshop.written_back(self.done))
            yield

    def packages(self) -> tuple[PackageFacts, ...]:
        """Those of the image; asked in a guest, so that any distribution answers in its own way. Of a system without an
        installer of its own none are known."""
        installer = find_installer(self.build.recipe.hardware.os)
        if installer is None:
            return ()
        command = installer.describe_installed()
        step = Step(name="list-packages", title="list of packages", script=f"#!/bin/sh\nset -eu\n{command}\n")
        found = PackageList()
        with self.workshop.guest(self.plan, self.done) as guest:
            listed = guest.run_step(step, found.add)
        if not listed.ok:
            raise self._scrubber.failure(listed.failure(self.build.log))
        return found.facts()

    def _stage(self, stage: Stage, make: Callable[[Output], None], undo: ExitStack) -> None:
        """Take its layer or make it, and keep it in use until `undo` ends."""
        take_or_make = partial(self._take_or_make, stage, make, undo)
        _, record = timed(self.build.bus, stage, len(self.build.stages), take_or_make)
        self.records.append(record)
        self.done.append(stage.id)

    def _take_or_make(self, stage: Stage, make: Callable[[Output], None], undo: ExitStack) -> tuple[None, str]:
        if self._taken(stage.id, undo):
            return None, "cached"
        with self.workshop.claim(stage.id):
            if self._taken(stage.id, undo):
                return None, "cached"
            self._make(stage, make)
            undo.enter_context(self.workshop.in_use(stage.id))
        return None, "built"

    def _taken(self, layer_id: str, undo: ExitStack) -> bool:
        """Whether the layer is there, and in use from now on. Before it is in use, a prune may still take it."""
        if not self._usable(layer_id):
            return False
        with ExitStack() as use:
            use.enter_context(self.workshop.in_use(layer_id))
            if not self._usable(layer_id):
                return False
            undo.push(use.pop_all())
        return True

    def _usable(self, layer_id: str) -> bool:
        wanted = self.build.options.use_cache or layer_id in self.build.fresh
        return wanted and self.workshop.holds(layer_id)

    def _make(self, stage: Stage, make: Callable[[Output], None]) -> None:
        bus = self.build.bus
        announce(bus, stage, len(self.build.stages))
        listener = Listener(bus, stage)
        try:
            with scrubbed(self._scrubber, listener) as output:
                make(output)
        except StepFailed as error:
            diagnosis = Diagnosis(self.build, stage, listener.causes)
            raise self._scrubber.failure(diagnosis.of(error, self.workshop.trouble(), self._scrubber)) from None
        except OSError as error:
            reasons = (f"step '{stage.name}': {error}", self.workshop.trouble())
            raise BuildError("\n".join(filter(None, reasons))) from error

    def _run(self, step: Step, output: Output) -> None:
        with self.workshop.guest(self.plan, self.done) as guest:
            result = guest.run_step(step, output)
            if not result.ok:
                self._on_failure(guest, result)
                raise result.failure(self.build.log)
            guest.keep_layer(step)

    def _on_failure(self, guest: Guest, result: StepResult) -> None:
        step = result.step
        choice, bus = self.build.options.on_error, self.build.bus
        if choice == "keep":
            bus.note(guest.keep_for_inspection(step), "warning")
        if choice == "shell":
            bus.note(
                f"{self._failure(result)}\nthis shell is where it failed; 'exit' ends it, and the build", "warning"
            )
            bus.settle()
            guest.open_shell(step)

    def _failure(self, result: StepResult) -> StepFailed:
        """As it is shown at the end, for somebody who looks for its cause before."""
        stage = next(one for one in self.build.stages if one.name == result.step.name)
        causes = Causes()
        for line in result.tail:
            causes.line(line)
        failure = Diagnosis(self.build, stage, causes).of(result.failure(), "", self._scrubber)
        return self._scrubber.failure(failure)


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """The first signal interrupts; the undoing that follows is left in peace."""
    before = take_stops(interrupt_once)
    try:
        yield
    finally:
        give_back(before)
