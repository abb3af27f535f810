"""The moving part of the screen: what runs, what it said last, what is yet to come. It always fits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.spinner import Spinner
from rich.text import Text

from vmgen_build.cli.plain import TITLE_WIDTH
from vmgen_build.text import duration

WIDEST = 110
"""Columns that are used at most: a long line of output that a narrower window would break is hard to erase."""
NARROW = 100
"""Columns below which a bar is short."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs now. about: what its line begins with, "lab.ini: " where there are several. began: time.monotonic().
    last: its last line of output. done, total: its share, total 0 where it is not known. amount: the same in words.
    waiting: titles of the steps after it; summary: how far the build has come; build_began: as `began`, 0.0 for none.
    """

    title: str
    began: float
    about: str = ""
    last: str = ""
    done: int = 0
    total: int = 0
    amount: str = ""
    waiting: Sequence[str] = ()
    summary: str = ""
    build_began: float = 0.0


@dataclass
class View:
    """Rendered anew each time it is shown. plain: only ASCII characters. running: one for each recipe."""

    plain: bool
    running: dict[str, Activity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spinner = Spinner("line" if self.plain else "dots")

    def change(self, recipe: str, **values: object) -> None:
        """Values of the activity's fields. Nothing where the recipe has none."""
        if recipe in self.running:
            self.running[recipe] = replace(self.running[recipe], **values)  # type: ignore[arg-type]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        for line in self._fitting(dict(self.running), width, max(1, console.size.height - 1)):
            line.truncate(width, overflow="crop" if self.plain else "ellipsis")
            yield line

    def _fitting(self, running: Mapping[str, Activity], width: int, height: int) -> Iterator[Text]:
        """The activities come first; what they said, what waits and how far it is have what room is left."""
        activities = list(running.values())
        if len(activities) > height:
            shown = activities[: height - 1]
            yield from (self._head(one, width) for one in shown)
            yield Text(f"  and {len(activities) - len(shown)} more", style="dim")
            return
        room = height - len(activities)
        lasts = [one for one in activities if one.last][:room]
        room -= len(lasts)
        for one in activities:
            yield self._head(one, width)
            if one in lasts:
                yield Text(f"    {one.last}", style="dim")
        if len(activities) == 1 and room > 1:
            yield from self._to_come(activities[0], room)

    def _to_come(self, one: Activity, room: int) -> Iterator[Text]:
        """room: lines, at least two."""
        if not one.summary:
            return
        room -= 1
        waiting = one.waiting if len(one.waiting) <= room else one.waiting[: room - 1]
        for title in waiting:
            yield Text(f"{'-' if self.plain else '·'} {title}", style="dim")
        if more := len(one.waiting) - len(waiting):
            yield Text(f"  and {more} more", style="dim")
        yield Text(f"  {one.summary}, {duration(time.monotonic() - one.build_began)}", style="bold")

    def _head(self, one: Activity, width: int) -> Text:
        now = time.monotonic()
        mark = self._spinner.render(now)
        assert isinstance(mark, Text)
        room = TITLE_WIDTH + len(one.about)
        title = Text(f"{one.about}{one.title}")
        title.truncate(room, overflow="crop" if self.plain else "ellipsis")
        blanks = " " * (room - cell_len(title.plain))
        line = Text.assemble(mark, " ", title, blanks, (f" {duration(now - one.began):>10}", "dim"))
        if one.total > 0:
            line.append_text(self._bar(min(1.0, one.done / one.total), 10 if width < NARROW else 20))
        if one.amount:
            line.append(f"  {one.amount}")
        return line

    def _bar(self, share: float, length: int) -> Text:
        full = round(share * length)
        done, rest = ("#", ".") if self.plain else ("━", "━")
        return Text.assemble("  ", (done * full, "green"), (rest * (length - full), "bright_black"))
