"""Where things stand in a file's text, so that an editor can change one of them and keep all the rest.

Offsets count characters of the text that was parsed: line ends are among them as they stand (LF or CRLF), a byte order
mark is not.
"""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """text[start:end]; empty where start == end."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]


class Columns(NamedTuple):
    """Characters of a line, counted from 1, `end` excluded; end 0: up to the line's end. None known: 0, 0."""

    start: int = 0
    end: int = 0

    def moved(self, by: int) -> Columns:
        return Columns(self.start + by, self.end + by)


class OptionSpans(NamedTuple):
    """Where an option stands: offsets alone, since a large file has many.

    start: its first line. end: the line after its last one. written_end: the last character's end.
    """

    start: int
    key_start: int
    key_end: int
    value_start: int
    value_end: int
    comment_start: int
    written_end: int
    end: int

    @property
    def lines(self) -> Span:
        """Its whole lines, with the last one's line end."""
        return Span(self.start, self.end)

    @property
    def key(self) -> Span:
        """As written, with its quotes."""
        return Span(self.key_start, self.key_end)

    @property
    def value(self) -> Span:
        """As written, with its quotes; an empty value stands right after the `=`."""
        return Span(self.value_start, self.value_end)

    @property
    def key_columns(self) -> Columns:
        return Columns(self.key_start - self.start + 1, self.key_end - self.start + 1)

    @property
    def comment(self) -> Span:
        """The comment behind the value, from its `#`; empty where there is none."""
        return Span(self.comment_start, self.written_end)


class HeadSpans(NamedTuple):
    """Where a section's head stands. line: with its line end. name: with its quotes. comment: as of an option."""

    line: Span
    name: Span
    comment: Span

    @property
    def columns(self) -> Columns:
        """Of the name."""
        return Columns(self.name.start - self.line.start + 1, self.name.end - self.line.start + 1)
