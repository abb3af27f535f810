"""The disposable machine that a plan runs in, as every backend sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.result import Result
from vmgen_build.errors import HostError
from vmgen_build.plan.model import Base, Plan, Step

Output = Callable[[str], None]
"""Takes one line of a step's output, without its line end."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended: its exit code, and both its streams as text."""

    code: int
    out: str


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


class Guest(ABC):
    """A disposable machine for the steps of one plan. Made by Workshop.guest, always destroyed by its context."""

    @abstractmethod
    def run_step(self, step: Step, output: Output) -> int:
        """Run one step to its end; its exit code."""

    @abstractmethod
    def keep_layer(self, step: Step) -> None:
        """Store the state after `step` under its id, whole or not at all."""

    @abstractmethod
    def keep_for_inspection(self, step: Step) -> str:
        """Leave it as it is after the step that failed; how to enter it and how to remove it, as sentences."""

    def open_shell(self, step: Step) -> None:
        """A shell on the caller's terminal, where the step failed. Raises HostError where there is none."""
        raise HostError("there is no shell to open in this guest; take: --on-error keep")


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
        """Keep a layer that is held from being removed by another build."""
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
