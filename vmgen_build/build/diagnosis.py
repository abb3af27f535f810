"""Why a step failed, as far as its output shows: the line of its script, known causes, and how to go on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vmgen_build.build.advice import MAYBE_OFFLINE, OFFLINE, Causes
from vmgen_build.build.job import Build, Stage
from vmgen_build.build.scrubbing import Scrubber
from vmgen_build.errors import Position, StepFailed
from vmgen_build.events import Bus, StepOutput, StepProgress
from vmgen_build.installers.counting import PackageCount
from vmgen_build.plan.model import Step
from vmgen_build.text import clean

OUT_OF_MEMORY = 137
"""128 + SIGKILL: what the kernel ends for want of memory ends so."""

NO_LINE = "its shell named no line; 'set -x' at the top of the script prints each command before it runs"

_LINES = r"""(files/)?script["']?(?:: line |: |, line | line )(\d+)\b"""
"""How dash, bash, Python and Perl name a line of a file that they run."""


class Listener:
    """Takes what a stage prints: hands it on as events, counts packages, and remembers known causes."""

    def __init__(self, bus: Bus, stage: Stage) -> None:
        self._bus, self._stage = bus, stage
        self._count = PackageCount()
        self.causes = Causes()

    def __call__(self, line: str) -> None:
        self._bus.emit(StepOutput(step=self._stage.name, line=line))
        self.causes.line(line)
        if self._count.line(line):
            done, total = self._count.done, self._count.total
            self._bus.emit(StepProgress(step=self._stage.name, done=done, total=total, unit="packages"))


@dataclass(frozen=True, slots=True)
class FailingLine:
    """number: counts from 1. text: "" where it may not be shown. own: of the recipe's script, not of the step's that
    runs it."""

    number: int
    text: str
    own: bool


def failing_line(step: Step, folder: str, lines: Sequence[str]) -> FailingLine | None:
    """The line of its script that the last of these lines of output names. folder: the step's, in the guest."""
    named = re.compile(re.escape(folder) + "/" + _LINES)
    found = [match for line in lines if (match := named.search(line))]
    if not found:
        return None
    own, number = bool(found[-1][1]), int(found[-1][2])
    script = step.script
    if own:
        carried = next((file for file in step.files if file.name == "script"), None)
        script = "" if carried is None or carried.private else (carried.content or b"").decode(errors="replace")
    texts = script.splitlines()
    return FailingLine(number, clean(texts[number - 1]).strip() if number <= len(texts) else "", own)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of one stage of a build."""

    build: Build
    stage: Stage
    causes: Causes

    def of(self, error: StepFailed, trouble: str, scrubber: Scrubber) -> StepFailed:
        """The same failure, with its log, and what is known of it as its hint. trouble: of the place where it ran."""
        step = next((one for one in self.build.plan.steps if one.name == self.stage.name == error.step), None)
        line = None
        if step is not None and step.dialect == "sh":
            line = failing_line(step, self.build.plan.system.family.step_folder, error.tail)
        hints = [scrubber.text(self._where(line)) if line else self._no_line(step)]
        hints += [f"what to do: {one}" for one in self._advice(error, trouble, self._kept_off(step))]
        hints.append(self.again())
        failure = error.with_log(self.build.log, "\n".join(filter(None, hints)))
        failure.where = self._position(line)
        return failure

    def again(self) -> str:
        """Where the next build begins."""
        index, total = self.stage.index, len(self.build.stages)
        if index == 1:
            return ""
        how = "the same command" if self.build.options.use_cache else "the same command without --no-cache"
        return f"{how} begins at step {index} of {total}: what comes before is in the cache"

    def _kept_off(self, step: Step | None) -> bool:
        """Whether it asks for the network, as what makes a base does, and --offline keeps it off."""
        return self.build.options.offline and (step is None or step.network)

    def _advice(self, error: StepFailed, trouble: str, kept_off: bool) -> tuple[str, ...]:
        found = self.causes.advice(offline=kept_off)
        if OFFLINE in found:
            return found
        if trouble or error.hint:
            return (trouble or error.hint,)
        if not found and error.code == OUT_OF_MEMORY:
            return ("it was killed, as the kernel does where memory is short: 'dmesg' says so; give this host more",)
        return found or ((MAYBE_OFFLINE,) if kept_off else ())

    def _no_line(self, step: Step | None) -> str:
        return NO_LINE if step is not None and step.name.startswith("script-") else ""

    def _where(self, line: FailingLine) -> str:
        at = self._position(line)
        place = f" ({at})" if line.own and at is not None else ""
        return f"line {line.number} of its script{place}" + (f": {line.text}" if line.text else "")

    def _position(self, line: FailingLine | None) -> Position | None:
        """In the file of the script, or in the recipe, which has the lines of `run` as the script has them; else where
        the recipe names it."""
        scripts = self.build.recipe.config.scripts
        script = scripts.get(self.stage.name.removeprefix("script-"))
        if script is None or not self.stage.name.startswith("script-"):
            return None
        if script.file is not None and line is not None and line.own:
            return Position(str(script.file), line.number)
        named = script.at("run" if script.file is None else "file")
        if script.file is None and line is not None and line.own and named.line:
            return Position(named.file, named.line + line.number - 1)
        return named
