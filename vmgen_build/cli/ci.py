"""What happens, in the words of a service that runs builds: groups that fold, errors at their lines.

GitHub: "Workflow commands for GitHub Actions". GitLab: "Custom collapsible sections" of "CI/CD job logs".
"""

from __future__ import annotations

import os
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TextIO

from vmgen_build import events as e
from vmgen_build.cli.plain import Plain, Verbosity
from vmgen_build.cli.problems import annotation
from vmgen_build.errors import Position, Problem, RecipeError, StepFailed, VmgenError
from vmgen_build.text import clean, without_passwords


class Folding(Plain, ABC):
    """Each step's output in a group of its own, which is folded; where several recipes are built at a time, their lines
    come as plain ones. Subclasses say how a group begins and ends."""

    def __init__(self, stream: TextIO, verbosity: Verbosity, stamps: bool = True) -> None:
        super().__init__(stream, verbosity, stamps)
        self._open = False

    @abstractmethod
    def begin(self, title: str) -> str:
        """What opens the group of a step."""

    @abstractmethod
    def end(self) -> str:
        """What closes it."""

    def close(self) -> None:
        if self._open:
            self._open = False
            self.put(self.end(), "")

    def step_started(self, event: e.StepStarted) -> None:
        if self.side_by_side:
            super().step_started(event)
            return
        self.close()
        self._open = True
        self.put(self.begin(clean(f"[{event.index}/{event.total}] {event.title}")), "")

    def step_output(self, event: e.StepOutput) -> None:
        """All of it: the log file is gone with the runner."""
        if self._open or self.verbosity is Verbosity.VERBOSE:
            self.write(f"  | {clean(event.line)}")

    def step_finished(self, event: e.StepFinished) -> None:
        self.close()
        super().step_finished(event)

    def note(self, note: e.Note) -> None:
        if note.level == "error":
            self.close()
        super().note(note)


class GitHub(Folding):
    """Within a group the runner takes no commands (stop-commands): what a guest prints may look like one."""

    def __init__(self, stream: TextIO, verbosity: Verbosity, stamps: bool = True) -> None:
        super().__init__(stream, verbosity, stamps)
        self._token = ""

    def begin(self, title: str) -> str:
        self._token = secrets.token_hex(16)
        return f"::group::{title}\n::stop-commands::{self._token}"

    def end(self) -> str:
        return f"::{self._token}::\n::endgroup::"

    def write(self, text: str, style: str = "") -> None:
        """The runner takes commands behind blanks too, and its older ones anywhere in a line."""
        safe = re.sub(r"^(\s*):(?=:)", r"\1: ", text.replace("##[", "## ["))
        super().write(safe, style)

    def annotate(self, error: VmgenError) -> None:
        try:
            for line in commands(error):
                self.put(line, "")
        except (OSError, ValueError):
            self.verbosity = Verbosity.QUIET


class GitLab(Folding):
    _count = 0

    def begin(self, title: str) -> str:
        self._count += 1
        return f"{self._mark('start')}[collapsed=true]\r\x1b[0K{title}"

    def end(self) -> str:
        return f"{self._mark('end')}\r\x1b[0K"

    def _mark(self, which: str) -> str:
        return f"\x1b[0Ksection_{which}:{int(time.time())}:vmgen_{os.getpid()}_{self._count}"


def folding(environ: Mapping[str, str]) -> type[Plain]:
    """The display for the service that runs us, as its variables say; the plain one where there is none."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHub
    if environ.get("GITLAB_CI") == "true":
        return GitLab
    return Plain


def commands(error: VmgenError) -> list[str]:
    """GitHub's commands that show an error at its line. A recipe's mistakes have theirs where they are shown."""
    if isinstance(error, RecipeError):
        return []
    where = error.where if isinstance(error, StepFailed) else None
    safe = "\n".join(clean(line) for line in without_passwords(str(error)).splitlines())
    return [annotation(Problem(where or Position("", 0), "", safe, code="failed"))]
