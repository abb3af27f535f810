"""What happens, on a terminal: a live line for what runs, a mark for what is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from vmgen_build import events as e
from vmgen_build.cli.plain import Plain, Verbosity
from vmgen_build.text import clean, duration, size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TITLE_WIDTH = 34


class Terminal(Plain):
    """The live lines, one for each recipe that is built, exist only while a step runs, so that a build whose layers are
    all there never loads rich."""

    def __init__(self, stream: TextIO, verbosity: Verbosity, colour: bool) -> None:
        super().__init__(stream, verbosity)
        self._colour = colour
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._ticks = _can_show("✓✗", stream)

    def close(self) -> None:
        self._tasks.clear()
        if self._progress is not None:
            progress, self._progress = self._progress, None
            progress.stop()

    def tick(self) -> None:
        if self._progress is not None:
            self._progress.refresh()

    @contextmanager
    def paused(self) -> Iterator[None]:
        if self._progress is None:
            yield
            return
        self._progress.stop()
        yield
        self._progress.start()

    def put(self, text: str, style: str) -> None:
        if self._progress is not None:
            from rich.text import Text

            self._progress.console.print(Text(text, style=style), soft_wrap=True)
        else:
            super().put(click.style(text, **_STYLES[style]) if self._colour and style else text, "")

    def activity(self, title: str) -> None:
        """It moves with the events alone, by no thread: the work has yet to fork (guests.namespaces)."""
        if self.verbosity is not Verbosity.QUIET:
            self._begin("", title, ticking=False)

    def step_started(self, event: e.StepStarted) -> None:
        """Of one recipe a thread moves the line; of several it moves by `tick`, since others have yet to be forked."""
        title = f"{self.about}[{event.index}/{event.total}] {clean(event.title)}"
        self._begin(event.recipe, title, ticking=not self.side_by_side)

    def _begin(self, recipe: str, title: str, *, ticking: bool) -> None:
        if not self.side_by_side:
            self.close()
        self._end(recipe)
        if self._progress is None:
            self._progress = _progress(self.stream, self._colour, ticking)
            self._progress.start()
        self._tasks[recipe] = self._progress.add_task(clean(title), total=None, now="")

    def _end(self, recipe: str) -> None:
        """The recipe's line goes, and the last one with all that moves."""
        if self._progress is None or recipe not in self._tasks:
            return
        self._progress.remove_task(self._tasks.pop(recipe))
        if not self._tasks:
            self.close()

    def note(self, note: e.Note) -> None:
        """A warning may be the last word before a shell takes the terminal (--on-error shell): nothing moves on."""
        if note.level != "info" and not self.side_by_side:
            self.close()
        super().note(note)

    def step_output(self, event: e.StepOutput) -> None:
        line = clean(event.line)
        self._now(event.recipe, line)
        if self.verbosity is Verbosity.VERBOSE:
            self.write(f"  | {line}", "dim")

    def step_progress(self, event: e.StepProgress) -> None:
        if self._progress is None or event.recipe not in self._tasks:
            return
        amount = clean(event.text or _amount(event))
        self._progress.update(self._tasks[event.recipe], completed=event.done, total=event.total or None, now=amount)

    def probe_done(self, event: e.ProbeDone) -> None:
        self._now(event.recipe, clean(event.setting))
        super().probe_done(event)

    def _now(self, recipe: str, text: str) -> None:
        if self._progress is not None and recipe in self._tasks and text.strip():
            refresh = not (self._progress.live.auto_refresh or self.side_by_side)
            self._progress.update(self._tasks[recipe], now=text, refresh=refresh)

    def step_finished(self, event: e.StepFinished) -> None:
        self._end(event.recipe)
        failed = event.outcome == "failed"
        good, bad = ("✓", "✗") if self._ticks else ("ok", "FAILED")
        mark = self._styled(bad, "red") if failed else self._styled(good, "green")
        taken = event.outcome if event.outcome == "cached" else duration(event.seconds)
        line = f"{mark} {self.about}{clean(event.title):<{TITLE_WIDTH}} {self._styled(f'{taken:>10}', 'dim')}"
        self._put_styled(line)

    def _put_styled(self, line: str) -> None:
        if self._progress is None:
            super().put(line, "")
            return
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def _styled(self, text: str, style: str) -> str:
        return click.style(text, **_STYLES[style]) if self._colour else text


_STYLES: dict[str, dict[str, Any]] = {
    "bold": {"bold": True},
    "dim": {"dim": True},
    "red": {"fg": "red"},
    "green": {"fg": "green"},
    "yellow": {"fg": "yellow"},
}


def _amount(event: e.StepProgress) -> str:
    if event.unit == "bytes":
        return f"{size(event.done)} of {size(event.total)}" if event.total else size(event.done)
    return f"{event.done} of {event.total} {event.unit}" if event.total else f"{event.done} {event.unit}"


def _can_show(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _progress(stream: TextIO, colour: bool, ticking: bool) -> Progress:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.table import Column

    class Bar(ProgressColumn):
        """A bar where the end is known, else nothing."""

        def render(self, task: Task) -> RenderableType:
            return BarColumn(bar_width=20).render(task) if task.total else ""

    columns: tuple[ProgressColumn, ...] = (
        SpinnerColumn("dots" if _can_show("⠋", stream) else "line"),
        TextColumn("{task.description}", markup=False),
        Bar(),
        TimeElapsedColumn(),
        TextColumn(
            "{task.fields[now]}",
            markup=False,
            style="dim",
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
    )
    console = Console(file=stream, no_color=not colour, highlight=False, markup=False, emoji=False)
    return Progress(
        *columns,
        console=console,
        transient=True,
        expand=True,
        auto_refresh=ticking,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=False,
    )
