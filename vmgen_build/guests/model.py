"""The disposable machine that a plan runs in, as every backend sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.artifacts.result import Result
from vmgen_build.errors import TIMED_OUT, HostError, StepFailed, StepTimedOut
from vmgen_build.limits import FETCHING_INDEXES, INSTALLING
from vmgen_build.plan.bases import Base
from vmgen_build.plan.model import Plan, Step
from vmgen_build.text import LastLines

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of root in every guest and in every booted machine."""

FETCHES = 3
"""How often indexes are fetched that do not come in time. What came of them is kept."""

_UPDATE = "update of the package indexes"
_STALLED = "look at the mirror and the network; [config] mirror names another one"

Output = Callable[[str], None]
"""Takes one line of a step's output, without its line end."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended: its exit code, and both its streams as text."""

    code: int
    out: str


def no_answer(timeout: float | None) -> Ran:
    """A command that said nothing in its time."""
    return Ran(TIMED_OUT, f"no answer in {timeout or 0:g} seconds")


class Communicator(ABC):
    """How a guest is spoken to."""

    @abstractmethod
    def run(self, script: str, timeout: float | None = None) -> Ran:
        """Run a script as root under the guest's shell, handed over by standard input, never by argv."""

    @abstractmethod
    def put(self, local: Path, remote: str, mode: int = 0o644) -> None: ...

    @abstractmethod
    def get(self, remote: str, local: Path) -> None: ...

    @abstractmethod
    def delete(self, remote: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step ended. code: its script's, TIMED_OUT where it was ended because its time was over.

    tail: its last lines of output.
    """

    step: Step
    code: int
    tail: tuple[str, ...]
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return not self.timed_out and self.code in self.step.success

    def failure(self, log: Path | None = None, hint: str = "") -> StepFailed:
        if self.timed_out and self.step.timeout is not None:
            return StepTimedOut(self.step.name, self.step.timeout, self.tail, log, hint)
        return StepFailed(self.step.name, self.code, self.tail, log, hint)


class StepExecutor(ABC):
    """Runs steps, one after the other, on one root."""

    def run_step(self, step: Step, output: Output) -> StepResult:
        """Run one step to its end, or to that of its time; then restart where it asks for that.

        One that installs has a limit of time: a mirror that stalls in the midst of a file can hold apt for ever.
        Raises StepFailed where the package indexes that it needs cannot be fetched, BuildError where it cannot be run.
        """
        if step.installs:
            self._fetch_indexes(output)
            step = step if step.timeout else replace(step, timeout=float(INSTALLING.amount))
        tail = LastLines(output)
        code = self._execute(step, tail)
        result = StepResult(step, TIMED_OUT if code is None else code, tail.lines, code is None)
        if result.ok and step.reboot:
            self._restart()
        return result

    @abstractmethod
    def _fetch_indexes(self, output: Output) -> None:
        """Fetch the package indexes where there are none yet of this state of the archive. Raises StepFailed."""

    @abstractmethod
    def _execute(self, step: Step, output: Output) -> int | None:
        """The step's script: its exit code. None where it took longer than Step.timeout; nothing of it runs then."""

    @abstractmethod
    def _restart(self) -> None: ...

    def _run_fetching(self, script: str, output: Output) -> None:
        """A script that fetches package indexes. Raises StepFailed."""
        limit = float(FETCHING_INDEXES.amount)
        step = Step(name="package-indexes", title="package indexes", script=script, network=True, timeout=limit)
        for _ in range(FETCHES):
            result = self.run_step(step, output)
            if not result.timed_out:
                break
        if result.timed_out:
            raise StepTimedOut(_UPDATE, limit, result.tail, None, _STALLED)
        if not result.ok:
            raise StepFailed(_UPDATE, result.code, result.tail, None)


class Guest(StepExecutor):
    """A disposable machine for the steps of one plan. Made by Workshop.guest, always destroyed by its context."""

    @abstractmethod
    def keep_layer(self, step: Step) -> None:
        """Store the state after `step` under its id, whole or not at all."""

    @abstractmethod
    def keep_for_inspection(self, step: Step) -> str:
        """Leave it as it is after the step that failed; how to enter it and how to remove it, as sentences."""

    def open_shell(self, step: Step) -> None:
        """A shell on the caller's terminal, where the step failed. Raises HostError where there is none."""
        raise HostError("there is no shell to open in this guest; take: --on-error keep")

    def enter(self, step: Step, command: Sequence[str]) -> int:
        """Run a command, or without any a shell, on the caller's terminal, with what a step is given: its exit code.
        Raises HostError where that cannot be done."""
        raise HostError("nobody enters this guest; leave --host out")


class Workshop(ABC):
    """Where guests are made and layers are kept: this machine, an OpenVZ node, a vSphere server."""

    @abstractmethod
    def holds(self, layer_id: str) -> bool:
        """Whether the layer can be taken as it is."""

    @abstractmethod
    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        """Make the base's layer."""

    @abstractmethod
    def claim(self, layer_id: str) -> AbstractContextManager[None]:
        """Hold the right to make this layer; waits for another build that is making it."""

    def in_use(self, layer_id: str) -> AbstractContextManager[None]:
        """Keep a layer that is there from being removed by another build."""
        return nullcontext()

    def written_back(self, layer_ids: Sequence[str]) -> AbstractContextManager[None]:
        """Meanwhile make sure that these layers outlive a crash of the machine that holds them."""
        return nullcontext()

    def trouble(self) -> str:
        """What a failure may come from, and what to do; "" where all is well."""
        return ""

    @abstractmethod
    def guest(self, plan: Plan, after: Sequence[str]) -> AbstractContextManager[Guest]:
        """A guest in the state after these layers (the base's id first)."""

    @abstractmethod
    def result(self, layers: Sequence[str]) -> AbstractContextManager[Result]:
        """What the guest holds after these layers, on this host, to be packed."""


def repositories_after(plan: Plan, after: Sequence[str]) -> str:
    """What the recipe's own package repositories are after these layers: indexes of others are out of date."""
    return "".join(step.id for step in plan.steps if step.name == "repositories" and step.id in after)
