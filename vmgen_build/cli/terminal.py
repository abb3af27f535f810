"""What happens, on a terminal: a live view of what runs and what is to come, a mark for what is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from vmgen_build import events as e
from vmgen_build.cli.plain import TITLE_WIDTH, Plain, Verbosity
from vmgen_build.text import clean, duration, size

if TYPE_CHECKING:
    from rich.live import Live

    from vmgen_build.cli.view import View


@dataclass
class _Build:
    """How far the build of one recipe for one backend has come. began: time.monotonic(). done: steps that ended;
    cached: those of them that were there."""

    titles: tuple[str, ...]
    began: float
    done: int = 0
    cached: int = 0

    def summary(self) -> str:
        cached = f", {self.cached} from the cache" if self.cached else ""
        return f"{self.done} of {len(self.titles)} steps done{cached}"


class Terminal(Plain):
    """The live view exists only while a step runs, so that a build whose layers are all there never loads rich, and so
    that its thread is gone where a process is forked."""

    def __init__(self, stream: TextIO, verbosity: Verbosity, colour: bool) -> None:
        super().__init__(stream, verbosity)
        self._colour = colour
        self._live: Live | None = None
        self._view: View | None = None
        self._builds: dict[str, _Build] = {}
        self._ticks = _can_show("✓✗", stream)

    def close(self) -> None:
        if self._live is not None:
            live, self._live, self._view = self._live, None, None
            live.stop()

    def tick(self) -> None:
        if self._live is not None:
            self._live.refresh()

    @contextmanager
    def paused(self) -> Iterator[None]:
        if self._live is None:
            yield
            return
        self._live.stop()
        yield
        self._live.start()

    def put(self, text: str, style: str) -> None:
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(text, style=style), soft_wrap=True)
        else:
            super().put(click.style(text, **_STYLES[style]) if self._colour and style else text, "")

    def show(self, event: e.Event) -> None:
        if isinstance(event, e.BuildStarted):
            self._builds[event.recipe] = _Build(event.titles, time.monotonic())
        super().show(event)

    def activity(self, title: str) -> None:
        """It moves with the events alone, by no thread: the work has yet to fork (guests.namespaces)."""
        if self.verbosity is not Verbosity.QUIET:
            self._begin("", clean(title), ticking=False)

    def step_started(self, event: e.StepStarted) -> None:
        """Of one recipe a thread moves the view; of several it moves by `tick`, since others have yet to be forked."""
        build = self._builds.get(event.recipe)
        more: dict[str, Any] = {}
        if build is not None:
            waiting = [clean(title) for title in build.titles[event.index :]]
            more = {"waiting": waiting, "summary": build.summary(), "build_began": build.began}
        title = f"[{event.index}/{event.total}] {clean(event.title)}"
        self._begin(event.recipe, title, ticking=not self.side_by_side, **more)

    def _begin(self, recipe: str, title: str, *, ticking: bool, **more: Any) -> None:
        from vmgen_build.cli.view import Activity, View

        if not self.side_by_side:
            self.close()
        if self._view is None:
            self._view = View(plain=not _can_show("⠋━·", self.stream))
        self._view.running[recipe] = Activity(title, time.monotonic(), about=self.about, **more)
        if self._live is None:
            self._live = _live(self._view, self.stream, self._colour, ticking)
            self._live.start(refresh=True)

    def _end(self, recipe: str) -> None:
        """The recipe's lines go, and the last ones with all that moves."""
        if self._view is not None and recipe in self._view.running:
            del self._view.running[recipe]
            if not self._view.running:
                self.close()

    def note(self, note: e.Note) -> None:
        """A warning may be the last word before a shell takes the terminal (--on-error shell): nothing moves on."""
        if note.level != "info" and not self.side_by_side:
            self.close()
        super().note(note)

    def step_output(self, event: e.StepOutput) -> None:
        line = clean(event.line)
        self._change(event.recipe, line, last=line)
        if self.verbosity is Verbosity.VERBOSE:
            self.write(f"  | {line}", "dim")

    def step_progress(self, event: e.StepProgress) -> None:
        more = {"last": clean(event.text)} if event.text else {}
        amount = clean(_amount(event))
        self._change(event.recipe, amount, done=event.done, total=event.total, amount=amount, **more)

    def probe_done(self, event: e.ProbeDone) -> None:
        setting = clean(event.setting)
        self._change(event.recipe, setting, last=setting)
        super().probe_done(event)

    def _change(self, recipe: str, text: str, **values: Any) -> None:
        if self._live is None or self._view is None or not text.strip():
            return
        self._view.change(recipe, **values)
        if not (self._live.auto_refresh or self.side_by_side):
            self._live.refresh()

    def step_finished(self, event: e.StepFinished) -> None:
        self._end(event.recipe)
        if (build := self._builds.get(event.recipe)) is not None:
            build.done += event.outcome != "failed"
            build.cached += event.outcome == "cached"
        failed = event.outcome == "failed"
        good, bad = ("✓", "✗") if self._ticks else ("ok", "FAILED")
        mark = self._styled(bad, "red") if failed else self._styled(good, "green")
        taken = event.outcome if event.outcome == "cached" else duration(event.seconds)
        line = f"{mark} {self.about}{clean(event.title):<{TITLE_WIDTH}} {self._styled(f'{taken:>10}', 'dim')}"
        self._put_styled(line)

    def _put_styled(self, line: str) -> None:
        if self._live is None:
            super().put(line, "")
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(line), soft_wrap=True)

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


def _live(view: View, stream: TextIO, colour: bool, ticking: bool) -> Live:
    from rich.console import Console
    from rich.live import Live

    return Live(
        view,
        console=Console(file=stream, no_color=not colour, highlight=False, markup=False, emoji=False),
        transient=True,
        auto_refresh=ticking,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=False,
    )
