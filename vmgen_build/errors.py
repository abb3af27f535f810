"""What can go wrong, and the exit code that each kind ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIMED_OUT = 124
"""The exit code of what was ended because its time was over, as of timeout(1)."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a recipe: the file as the user named it, and the line counted from 1 (0: the file as a whole).

    column, end: the characters of the line that are meant, counted from 1, `end` excluded. column 0: the line as a
    whole; end 0: up to its end. Two places of one line are equal.
    """

    file: str
    line: int
    column: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a recipe, at its line.

    path: the section and option as the user wrote them, e.g. "[network] gateway" or "[users] [[users]] [[[user0]]]".
    text: what is wrong; what would be right.
    code: a stable name for the kind of problem ("unknown-option", "skipped-program", "cut-comment", ...).
    """

    where: Position
    path: str
    text: str
    severity: str = "error"
    code: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: " if self.severity == "error" else f"{self.where}: warning: "
        return f"{head}{self.path}: {self.text}" if self.path else f"{head}{self.text}"


class VmgenError(Exception):
    """Any failure that a user can cause or must know of; its text is the whole message."""

    exit_code = 1
    not_undone: tuple[str, ...] = ()
    """What went wrong while the work was undone, after this error."""

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *self.left])

    @property
    def left(self) -> tuple[str, ...]:
        """A line for each thing that is not undone."""
        return tuple(f"and what was begun is not all undone: {e}" for e in self.not_undone)


class RecipeError(VmgenError):
    """The recipe is wrong. Holds every problem found, not the first alone, and the warnings beside them."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        self.problems, self.warnings = tuple(problems), tuple(warnings)
        super().__init__("\n".join(str(p) for p in self.problems))


class UsageError(VmgenError):
    """An argument or option on the command line is wrong."""

    exit_code = 2


class HostError(VmgenError):
    """The host lacks what the work needs (root, a program, disk space); the text says how to get it."""


class PluginError(HostError):
    """What another package adds to the tool cannot be used. title: which entry point, of which package."""

    def __init__(self, title: str, reason: str) -> None:
        super().__init__(f"{title}, cannot be used: {reason}; mend that package, or uninstall it")


class BuildError(VmgenError):
    """A build failed outside any one step (mirror gone, packing failed)."""


class StepFailed(BuildError):
    """A step's script ended with a code that does not mean success."""

    where: Position | None = None
    """The line of a file of the user's that it failed at, where one is known."""

    def __init__(self, step: str, code: int, tail: Sequence[str], log: Path | None, hint: str = "") -> None:
        self.step, self.code, self.tail, self.log, self.hint = step, code, tuple(tail), log, hint
        lines = [f"step '{step}' {self._what_happened()}"]
        if tail:
            lines += ["its last lines:", *(f"  {line}" for line in tail)]
        if log is not None:
            lines.append(f"the whole log: {log}")
        if hint:
            lines.append(hint)
        super().__init__("\n".join(lines))

    def with_log(self, log: Path | None, hint: str) -> StepFailed:
        """The same failure, once it is known where its log is."""
        return self._again(StepFailed(self.step, self.code, self.tail, log, hint))

    def with_tail(self, tail: Sequence[str]) -> StepFailed:
        """The same failure, with these as its last lines."""
        return self._again(StepFailed(self.step, self.code, tail, self.log, self.hint))

    def _again(self, error: StepFailed) -> StepFailed:
        error.not_undone, error.where = self.not_undone, self.where
        return error

    def _what_happened(self) -> str:
        return f"failed with exit code {self.code}"


class StepTimedOut(StepFailed):
    """A step was ended because it ran longer than it may. limit: in seconds."""

    def __init__(self, step: str, limit: float, tail: Sequence[str], log: Path | None, hint: str = "") -> None:
        self.limit = limit
        super().__init__(step, TIMED_OUT, tail, log, hint)

    def with_log(self, log: Path | None, hint: str) -> StepFailed:
        return self._again(StepTimedOut(self.step, self.limit, self.tail, log, hint))

    def with_tail(self, tail: Sequence[str]) -> StepFailed:
        return self._again(StepTimedOut(self.step, self.limit, tail, self.log, self.hint))

    def _what_happened(self) -> str:
        return f"took longer than {self.limit:g} s and was ended"
