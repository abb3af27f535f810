"""Text for people: foreign text made safe to show, sizes and times made short."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections import deque
from collections.abc import Callable, Sequence

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC: titles, links
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
"""ECMA-48 control sequences, in their 7-bit form and the 8-bit CSI."""

_USER_INFO = re.compile(r"""(\b(?:https?|ftps?)://)[^/\s"]*@|([a-z][a-z0-9+.-]{0,30}://[^/\s:@"]*:)[^/\s"]*@""", re.I)
"""RFC 3986, 3.2.1: user and password before the host's name; of web addresses the user's name may be a token too. A
scheme has no end in the RFC; here the end of a longer one is enough, so that a line of dots takes no long search."""

LAST_LINES = 20
"""Lines of a program's output that an error shows."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def clean(line: str) -> str:
    """One printable line of whatever a program wrote: no escape sequences, control or direction-changing characters.

    Of text that a carriage return would overwrite, what stands last remains; bytes that were no UTF-8 show as U+FFFD.
    """
    if line.isprintable():
        return line
    parts = [part for part in re.split(r"[\r\n]", _ESCAPES.sub("", line)) if part.strip()]
    return "".join(_shown(char) for char in (parts[-1] if parts else "").expandtabs())


def without_passwords(text: str) -> str:
    """The text, with *** for the passwords of its addresses: http://***@mirror/debian."""
    return _USER_INFO.sub(lambda match: f"{match[1] or match[2]}***@", text) if "@" in text else text


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return "\ufffd"
    if category in ("Zl", "Zp"):
        return " "
    return "" if category in ("Cc", "Cf") else char


def size(number: float) -> str:
    """Bytes in decimal units: 999 B, 1.5 kB, 143 MB."""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    digits = 1 if unit and number < 9.95 else 0
    return f"{number:.{digits}f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def table(rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> list[str]:
    """Lines with aligned columns, two blanks between them; `right` are the columns aligned to the right."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def broken(rows: Sequence[tuple[str, ...]], width: int) -> list[list[str]]:
    """The lines of each row of a table: what of its last column is wider than there is room for stands below."""
    head = sum(max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]) - 1)) if rows else 0
    found = []
    for line in table(rows):
        pieces = textwrap.wrap(line[head:], max(width - head, 20), break_on_hyphens=False) or [""]
        found.append([(line[:head] + pieces[0]).rstrip(), *(" " * head + piece for piece in pieces[1:])])
    return found


class LastLines:
    """Hands each line of output on, and remembers the last ones, for an error to show."""

    def __init__(self, output: Callable[[str], None] | None = None, limit: int = LAST_LINES) -> None:
        self._output = output
        self._lines: deque[str] = deque(maxlen=limit)

    def __call__(self, line: str) -> None:
        self._lines.append(line)
        if self._output is not None:
            self._output(line)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)
