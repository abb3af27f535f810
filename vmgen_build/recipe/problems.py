"""Collecting what is wrong with a recipe, and the wording that all messages share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from vmgen_build.errors import Position, Problem

LIMIT = 50
"""Problems kept of each severity; the rest is counted."""

STRICT_CODES = frozenset({"unknown-option", "unknown-section", "skipped-program"})
"""Warnings that --strict makes errors."""

IGNORED, SKIPPED = " and is ignored", "; skipped"
"""What a warning says of an unknown thing, and an error does not."""

_DEPTH = 8
"""Levels of sections that a message names."""

Text = str | Callable[[], str]
"""A message, or what makes it where that is dear: it is called only for a problem that is kept."""


class Problems:
    """Every problem of one recipe. `file` is named by the line that counts what is left out."""

    def __init__(self, file: str, strict: bool = False) -> None:
        self._file = file
        self._strict = strict
        self._kept: dict[str, dict[Problem, None]] = {"error": {}, "warning": {}}
        self._counts = {"error": 0, "warning": 0}

    def error(self, where: Position, path: str, text: Text, code: str = "") -> None:
        self._add("error", where, path, text, code)

    def warn(self, where: Position, path: str, text: Text, code: str = "") -> None:
        if self._strict and code in STRICT_CODES:
            self._add("error", where, path, lambda: _called(text).replace(IGNORED, "").replace(SKIPPED, ""), code)
        else:
            self._add("warning", where, path, text, code)

    def full(self, code: str) -> bool:
        """Whether a further warning of this kind would only be counted."""
        severity = "error" if self._strict and code in STRICT_CODES else "warning"
        return self._counts[severity] >= LIMIT

    def errors(self) -> tuple[Problem, ...]:
        return self._listed("error")

    def warnings(self) -> tuple[Problem, ...]:
        return self._listed("warning")

    def _add(self, severity: str, where: Position, path: str, text: Text, code: str) -> None:
        if self._counts[severity] < LIMIT:
            problem = Problem(where, path, _called(text), severity, code)
            if problem in self._kept[severity]:
                return
            self._kept[severity][problem] = None
        self._counts[severity] += 1

    def _listed(self, severity: str) -> tuple[Problem, ...]:
        kept = sorted(self._kept[severity], key=lambda p: (p.where.file != self._file, p.where))
        more = self._counts[severity] - len(kept)
        if more:
            plural = "s" if more > 1 else ""
            kept.append(Problem(Position(self._file, 0), "", f"and {more} more {severity}{plural}", severity, "more"))
        return tuple(kept)


def _called(text: Text) -> str:
    return text if isinstance(text, str) else text()


def place(sections: Sequence[str], option: str = "") -> str:
    """How messages name a place: "[users.users.user0] uid"."""
    names = [plain(s) for s in sections[:_DEPTH]] + (["…"] if len(sections) > _DEPTH else [])
    head = f"[{'.'.join(names)}]" if names else ""
    return f"{head} {plain(option)}".strip() if option else head


def plain(text: str, limit: int = 60) -> str:
    """Text safe for one line of a terminal: control characters escaped, long text cut."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else escaped(c) for c in cut)


def escaped(char: str) -> str:
    """\\x1b for ESC."""
    return char.encode("unicode_escape").decode()


def shown(text: str) -> str:
    """A value quoted for a message."""
    return f"'{plain(text)}'"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one most likely means."""
    from difflib import get_close_matches

    folded = {k.casefold(): k for k in known}
    found = get_close_matches(name[:80].casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'num_cpu'?" or nothing."""
    near = nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


_MEANT = re.compile(r"[;(] ?did you mean '([^']+)'\?\)?$")


def suggested(text: str) -> str:
    """The one right name that a message ends with, as `did_you_mean` words it; "" where there is none."""
    match = _MEANT.search(text)
    return match[1] if match else ""
