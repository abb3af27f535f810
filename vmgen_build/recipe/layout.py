"""How a file is laid out: where something new belongs, how it is indented, and which lines go with what is deleted."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

from vmgen_build.recipe.ini import Document, IniSection
from vmgen_build.recipe.spans import HeadSpans, Span

_USUAL_INDENT = " " * 4
_BLANKS = re.compile(r"[^\S\r\n]*")


class Layout:
    """Of one file, by its parsed text. Sections may hang elsewhere in the tree than they stand (recipe.slips): what is
    asked here goes by where they stand."""

    def __init__(self, document: Document) -> None:
        self.text, self.root = document.text, document.root
        self._comments = {self.text.rfind("\n", 0, span.start) + 1: span for span in document.comments}
        self._standing = sorted(
            ((section.head, section) for section in below(self.root) if section.head), key=lambda pair: pair[0].line
        )

    def depth(self, section: IniSection) -> int:
        """The brackets of its head; 0 for the file itself."""
        return self._brackets(section.head) if section.head else 0

    def indent(self, section: IniSection) -> str:
        """Of its options: as its last one, else as its subsections, else a step deeper than its head."""
        for value in reversed(section.values.values()):
            if value.spans:
                return self._indent_at(value.spans.start)
        return self._head_indent_below(section) or self._deeper(section)

    def head_indent(self, section: IniSection) -> str:
        """Of the heads of its subsections."""
        found = self._head_indent_below(section)
        if found is not None:
            return found
        return self.indent(section) if section.head else ""

    def divider(self, section: IniSection) -> str:
        """What stands between a name and its value, as in the section's own options, or in any other."""
        for each in (section, *below(self.root)):
            for value in reversed(each.values.values()):
                if value.spans:
                    between = self.text[value.spans.key_end : value.spans.value_start]
                    return " = " if between[:1].isspace() or between[-1:].isspace() else "="
        return " = "

    def newline(self, offset: int) -> str:
        """The line end before an offset, or else the first after it."""
        at = self.text.rfind("\n", 0, offset)
        at = at if at >= 0 else self.text.find("\n")
        return "\r\n" if at > 0 and self.text[at - 1] == "\r" else "\n"

    def after_options(self, section: IniSection) -> int:
        """Where another option of the section goes: after its last one, else after its head."""
        ends = [value.spans.end for value in section.values.values() if value.spans]
        return max(ends, default=section.head.line.end if section.head else 0)

    def place(self, parent: IniSection, name: str, order: Sequence[str]) -> tuple[int, bool]:
        """The offset at which a new subsection goes, and whether it goes right before another one.

        order: of those that are known; an unknown one goes to the end.
        """
        inner = self.depth(parent) + 1
        children = [
            s for head, s in self._standing if parent.sections.get(s.name) is s and self._brackets(head) == inner
        ]
        known = order[: order.index(name)] if name in order else [child.name for child in children]
        before = [child for child in children if child.name in known]
        if before:
            return self.content_end(before[-1].end), False
        if children and children[0].head:
            return self._attached(children[0].head.line.start), True
        return self.content_end(parent.body_end if parent.head else len(self.text)), False

    def is_spaced(self, depth: int) -> bool:
        """Whether a blank line stands before the heads of that depth, as before most that the file has."""
        heads = [head.line.start for head, _ in self._standing[1:] if self._brackets(head) == depth]
        heads = [start for start in heads if not self._leads(start)]
        blank = [start for start in heads if self._is_blank_before(self._attached(start))]
        return 2 * len(blank) > len(heads) if heads else depth == 1

    def is_blank_before(self, offset: int) -> bool:
        """Whether a blank line, or none at all, is before an offset."""
        return offset == 0 or self._is_blank_before(offset)

    def content_end(self, end: int) -> int:
        """Where what stands before an offset ends: without blank lines, and without the comments that lead to the
        head that begins there."""
        return self._skip_blank(self._attached(end))

    def whole(self, section: IniSection) -> list[Span]:
        """The lines of a section and of all that hangs in it, with the blank ones on one side of it."""
        spans = []
        for each in (section, *below(section)):
            if each.head:
                start, stop = each.head.line.start, self._attached(each.end)
                if stop == len(self.text):
                    start = self._skip_blank(start)
                elif not (self.is_blank_before(start) or self._leads(start)):
                    stop = self._skip_blank(stop)
                spans.append(Span(start, stop))
        return spans

    def _attached(self, start: int) -> int:
        """Where the comments begin that stand right above a head and are indented as it is, or less. The comment that
        a file begins with is the file's."""
        if start >= len(self.text):
            return len(self.text)
        indent = len(self._indent_at(start))
        at = start
        while at and (above := self.text.rfind("\n", 0, at - 1) + 1) in self._comments:
            if self._comments[above].start - above > indent:
                break
            at = above
        return at if at else start

    def _skip_blank(self, offset: int) -> int:
        """Before the blank lines that end at an offset; those within a value are none."""
        low = self._last_content(offset)
        while offset > low:
            start = self.text.rfind("\n", 0, offset - 1) + 1
            if start < low or self.text[start:offset].strip():
                break
            offset = start
        return offset

    def _is_blank_before(self, offset: int) -> bool:
        return self._skip_blank(offset) < offset

    def _leads(self, start: int) -> bool:
        """Whether nothing but a head stands before this one, which is the first in a section then."""
        return self._last_content(start) in self._heads

    def _last_content(self, offset: int) -> int:
        """The end of the last head or option that ends before an offset."""
        index = bisect_right(self._ends, offset)
        return self._ends[index - 1] if index else 0

    @cached_property
    def _heads(self) -> frozenset[int]:
        return frozenset(head.line.end for head, _ in self._standing)

    @cached_property
    def _ends(self) -> list[int]:
        sections = (self.root, *below(self.root))
        options = [value.spans.end for each in sections for value in each.values.values() if value.spans]
        return sorted([*self._heads, *options])

    def _head_indent_below(self, section: IniSection) -> str | None:
        inner = self.depth(section) + 1
        heads = [child.head for child in section.sections.values() if child.head]
        found = [self._indent_at(head.line.start) for head in heads if self._brackets(head) == inner]
        return found[-1] if found else None

    def _deeper(self, section: IniSection) -> str:
        own = self._indent_at(section.head.line.start) if section.head else ""
        return own + self._step if section.head else ""

    @cached_property
    def _step(self) -> str:
        """How much deeper than a head its options or subsections are, as in the first section that has any."""
        for head, section in self._standing:
            starts = [value.spans.start for value in section.values.values() if value.spans]
            starts += [
                child.head.line.start
                for child in section.sections.values()
                if child.head and self._brackets(child.head) == self._brackets(head) + 1
            ]
            own = self._indent_at(head.line.start)
            for start in starts[:1]:
                inner = self._indent_at(start)
                return inner.removeprefix(own) if inner.startswith(own) else ""
        return _USUAL_INDENT

    def step(self) -> str:
        return self._step

    def _indent_at(self, start: int) -> str:
        match = _BLANKS.match(self.text, start)
        return match[0] if match else ""

    def _brackets(self, head: HeadSpans) -> int:
        return self.text.count("[", head.line.start, head.name.start)


def below(section: IniSection) -> Iterator[IniSection]:
    """All sections in a section, at any depth."""
    todo = list(section.sections.values())
    while todo:
        each = todo.pop()
        yield each
        todo += each.sections.values()
