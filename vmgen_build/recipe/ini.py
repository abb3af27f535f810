"""The recipe's INI dialect, read with the position of everything.

The grammar is ConfigObj's (https://configobj.readthedocs.io): nested sections, comma lists, quotes, triple-quoted
values of several lines, comments, any indentation; no interpolation. It differs in that

* a `#` begins a comment only at the start of a value, after white space, or after a closing quote (`abc#def` is data);
* every value keeps its whole text beside its items, so that a password may hold commas;
* a line that begins with `[` is a section's head, never an option;
* all errors are found, each with its line. No message repeats a value: it may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from vmgen_build.errors import Position
from vmgen_build.limits import RECIPE_DEPTH
from vmgen_build.recipe.problems import Problems, place, plain
from vmgen_build.recipe.scanning import SPECIAL, Scanned, scan
from vmgen_build.recipe.spans import Columns, HeadSpans, OptionSpans, Span


class Value(NamedTuple):
    """An option's value.

    text: the whole value without comment, unquoted where quotes enclose all of it. items: the same split at commas,
    each unquoted; a comma at the end adds none. quoted: quotes enclose all of it. cut: the comment that ended it, with
    its `#`. broken: its syntax is wrong and has been reported. spans: where it stands in the file's text; None for
    a part of a value, and for one that stands in no file. columns: where it stands in its first line; item_columns:
    where each item does, if there are several in that line.
    """

    key: str
    text: str
    items: tuple[str, ...]
    file: str
    line: int
    quoted: bool = False
    cut: str = ""
    broken: bool = False
    spans: OptionSpans | None = None
    columns: Columns = Columns()
    item_columns: tuple[Columns, ...] = ()

    @property
    def where(self) -> Position:
        return Position(self.file, self.line, *self.columns)

    @property
    def key_where(self) -> Position:
        """Where its key stands."""
        return Position(self.file, self.line, *(self.spans.key_columns if self.spans else ()))

    def item_where(self, item: int) -> Position:
        """Where an item stands, by its index."""
        return Position(self.file, self.line, *(self.item_columns[item] if self.item_columns else self.columns))

    def part(self, text: str) -> Value:
        """A piece of this value as a value of its own, without a key."""
        return self._replace(key="", text=text, items=(text,), quoted=True, spans=None, item_columns=())

    def parts(self) -> list[Value]:
        """Each item as a value of its own."""
        places = self.item_columns or (self.columns,) * len(self.items)
        return [self.part(text)._replace(columns=at) for text, at in zip(self.items, places, strict=True)]


class Written(NamedTuple):
    """Lines of a file that stand as one option. sections: the names of those that it is in, "?" for one whose head is
    wrong. start, end: offsets of its lines. value_at: the offset of what stands behind its key, or of the key where no
    `=` follows it; comment_at: of the comment behind that, or of the end.
    """

    sections: tuple[str, ...]
    key: str
    start: int
    end: int
    value_at: int
    comment_at: int


class IniSection:
    """A section: its options and subsections by name, in the file's order. The root has depth 0 and no name.

    head: where its head stands; None for the root, and for a section that stands in no file. body_end: the offset at
    which its own lines end, which is that of the next head; end: the one at which its subsections end too.
    """

    __slots__ = ("body_end", "depth", "end", "file", "head", "line", "name", "sections", "values")

    def __init__(self, name: str, depth: int, file: str, line: int) -> None:
        self.name, self.depth, self.file, self.line = name, depth, file, line
        self.values: dict[str, Value] = {}
        self.sections: dict[str, IniSection] = {}
        self.head: HeadSpans | None = None
        self.body_end = self.end = 0

    @property
    def where(self) -> Position:
        return Position(self.file, self.line, *(self.head.columns if self.head else ()))

    @property
    def body(self) -> Span:
        """Its own lines: options, comments, blank lines."""
        return Span(self.head.line.end if self.head else 0, self.body_end)

    @property
    def whole(self) -> Span:
        """Its head, its own lines and its subsections."""
        return Span(self.head.line.start if self.head else 0, self.end)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text and its sections. comments: the comments that have a line of their own, from their `#`.

    complete: false where an unclosed quote swallowed the rest of the file. lost: a section's head is wrong, and what
    stands below it is not among the sections. written: what stands as options, those too that are wrong or stand twice,
    and lines that are nothing at all.
    """

    text: str
    root: IniSection
    comments: tuple[Span, ...]
    complete: bool
    lost: bool
    written: tuple[Written, ...] = ()

    def line_at(self, offset: int) -> int:
        """The number of the line that holds an offset; lines count from 1."""
        return self.text.count("\n", 0, offset) + 1


def parse(text: str, file: str, problems: Problems) -> Document:
    """Read a file's text; syntax errors go to `problems`."""
    return _Parser(text, file, problems).run()


_LOST = "?"
"""The name of a section whose head is wrong."""

_LOST_LEVELS = 8
"""How many levels a head may skip and still have its own subsections follow it."""


def _head(name: str, depth: int) -> str:
    levels = min(depth, _LOST_LEVELS)
    return f"{'[' * levels}{plain(name)}{']' * levels}"


class _Line(NamedTuple):
    """An option whose value is still to be read. line: the number of its first line. start: that line's offset.
    raw: what stands behind the `=` of that line. raw_at: its offset."""

    key: str
    line: int
    start: int
    key_start: int
    key_end: int
    raw: str
    raw_at: int


class _Parser:
    """line: the number of the line that is read, start: its offset, after: the offset of the one after it."""

    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self.text, self.file, self.problems = text, file, problems
        self.lines = text.split("\n")
        self.line = self.start = self.after = 0
        self.root = IniSection("", 0, file, 0)
        self.stack = [self.root]
        self.comments: list[Span] = []
        self.written: list[Written] = []
        self.sections: tuple[str, ...] = ()
        self.complete, self.lost = True, False

    def run(self) -> Document:
        total = len(self.lines)
        while self.line < total and self.complete:
            raw = self.take()
            line = raw.strip()
            if not line:
                continue
            at = self.start + len(raw) - len(raw.lstrip())
            if line[0] == "#":
                self.comments.append(Span(at, at + len(line)))
            elif line[0] == "[":
                self.head(line, at)
            else:
                self.option(line, at)
        self.close(0, len(self.text))
        return Document(self.text, self.root, tuple(self.comments), self.complete, self.lost, tuple(self.written))

    def take(self) -> str:
        """The next line, without its LF."""
        raw = self.lines[self.line]
        self.line += 1
        self.start = self.after
        self.after = min(self.start + len(raw) + 1, len(self.text))
        return raw

    def close(self, depth: int, offset: int) -> None:
        """A head at this offset, or the file's end, ends the sections from `depth` on."""
        self.stack[-1].body_end = offset
        for section in self.stack[depth:]:
            section.end = offset
        del self.stack[depth:]

    def error(self, text: str, at: Position, option: str = "") -> None:
        sections = () if _LOST in self.sections else self.sections
        self.problems.error(at, place(sections, option), text, "syntax")

    def at(self, start: int, end: int) -> Position:
        """A place in the line that is read, by its offsets in the file."""
        return Position(self.file, self.line, start - self.start + 1, end - self.start + 1)

    def head(self, line: str, at: int) -> None:
        body = line.lstrip("[ \t")
        depth = line[: len(line) - len(body)].count("[")
        name_at = at + len(line) - len(body)
        if body[:1] in ("'", '"'):
            name, _, closing = body[1:].partition(body[0])
            name_span = Span(name_at, name_at + len(name) + 2)
        else:
            raw, bracket, rest = body.partition("]")
            name, closing = raw.strip(), bracket + rest
            name_at += len(raw) - len(raw.lstrip())
            name_span = Span(name_at, name_at + len(name))
        after = closing.lstrip("] \t")
        closed = closing[: len(closing) - len(after)].count("]")
        end = at + len(line)
        if closed and after and not after.startswith("#"):
            text = "text follows a section's name; put it on a line of its own"
            self.head_error(text, self.at(end - len(after), end), depth)
        elif wrong := self.head_wrong(name, depth, closed):
            self.head_error(wrong, self.at(at, end - len(after)), depth)
        else:
            self.enter(name, depth, HeadSpans(Span(self.start, self.after), name_span, Span(end - len(after), end)))

    def head_wrong(self, name: str, depth: int, closed: int) -> str:
        """What is wrong with the brackets and name of a head; "" for nothing."""
        if not closed:
            word = re.match(r"[\w.-]*", name)
            return f"the bracket of a section is never closed; write {_head((word and word[0]) or 'name', depth)}"
        if not name:
            return f"a section has no name; write {_head('name', depth)}"
        if depth != closed:
            return f"a section opens with {depth} and closes with {closed} brackets; write as many of each"
        if depth > RECIPE_DEPTH.amount:
            return f"the sections are nested too deep: {RECIPE_DEPTH.exceeded}"
        if depth > len(self.stack):
            above = place(self.sections) or "the file's top"
            right = _head(name, len(self.stack))
            return f"{_head(name, depth)} skips a level; right below {above} write {right}"
        return ""

    def head_error(self, text: str, at: Position, depth: int) -> None:
        """Report a wrong head, and go on in a section that hangs nowhere: its lines are still checked."""
        self.problems.error(at, "", text, "syntax")
        self.lost = True
        depth = min(depth, len(self.stack) + _LOST_LEVELS, RECIPE_DEPTH.amount)
        self.close(depth, self.start)
        while len(self.stack) <= depth:
            self.stack.append(IniSection(_LOST, len(self.stack), self.file, self.line))
        self.sections = tuple(section.name for section in self.stack[1:])

    def enter(self, name: str, depth: int, head: HeadSpans) -> None:
        self.close(depth, self.start)
        parent = self.stack[-1]
        existing = parent.sections.get(name)
        option = parent.values.get(name)
        section = existing or IniSection(name, depth, self.file, self.line)
        section.head = section.head or head
        self.stack.append(section)
        self.sections = tuple(section.name for section in self.stack[1:])
        if existing is not None:
            at = Position(self.file, self.line, *head.columns)
            self.error(f"stands already at line {existing.line}; keep one of them", at)
            return
        parent.sections[name] = section
        if option is not None:
            del parent.values[name]
            text = f"is an option already at line {option.line}; keep either the option or the section"
            self.error(text, section.where)

    def option(self, line: str, at: int) -> None:
        if line[0] in "'\"":
            match = re.match(f"{line[0]}(.*?){line[0]}\\s*=", line)
            key, equals, raw = (match.group(1), "=", line[match.end() :]) if match else ("", "", "")
            key_end = at + len(key) + 2
        else:
            key, equals, raw = line.partition("=")
            key = key.rstrip()
            key_end = at + len(key)
        raw = raw.lstrip()
        if not equals:
            text = "neither a section nor an option; write name = value, or # before a comment"
            self.error(text, self.at(at, at + len(line)))
            word = re.split(r"[^\w.-]", line, maxsplit=1)[0]
            self.written.append(Written(self.sections, word, self.start, self.after, at, self.after))
        elif not key:
            value_at = at + len(line) - len(raw)
            self.written.append(Written(self.sections, "", self.start, self.after, value_at, self.after))
            self.error("the name before = is missing; write name = value", self.at(at, at + 1))
        else:
            raw_at = at + len(line) - len(raw)
            start = self.start
            value = self.value(_Line(key, self.line, start, at, key_end, raw, raw_at))
            comment_at = value.spans.comment_start if value.spans else self.after
            self.written.append(Written(self.sections, key, start, self.after, raw_at, comment_at))
            self.keep(key, value)

    def keep(self, key: str, value: Value) -> None:
        section = self.stack[-1]
        first = section.values.get(key)
        if first is not None:
            self.error(f"stands already at line {first.line}; keep one of them", value.key_where, key)
        elif key in section.sections:
            there = section.sections[key].line
            self.error(f"is a section already at line {there}; keep either of them", value.key_where, key)
        else:
            section.values[key] = value

    def value(self, option: _Line) -> Value:
        raw = option.raw
        if not SPECIAL.search(raw):
            return self.made(option, Scanned(raw, (raw,) if raw else (), False, ""), option.raw_at + len(raw))
        if raw[:3] in ("'''", '"""'):
            return self.long_value(option)
        scanned = scan(raw)
        if isinstance(scanned, str):
            self.error(scanned, self.at(option.raw_at, option.raw_at + len(raw)), option.key)
            return self.made(option, None, option.raw_at + len(raw))
        written = raw[: len(raw) - len(scanned.cut)].rstrip()
        return self.made(option, scanned, option.raw_at + len(written))

    def made(self, option: _Line, scanned: Scanned | None, value_end: int) -> Value:
        """The option's value, which ends on the line that is read; scanned: None where its syntax is wrong."""
        text, items, quoted, cut, within = scanned or Scanned("", (), False, "")
        written_end = self.start + len(self.lines[self.line - 1].rstrip())
        spans = OptionSpans(
            option.start,
            option.key_start,
            option.key_end,
            option.raw_at,
            value_end,
            written_end - len(cut),
            written_end,
            self.after,
        )
        first = option.raw_at - option.start + 1
        columns = Columns(first, 0 if "\n" in text else first + value_end - option.raw_at)
        each = tuple(Columns(*span).moved(first) for span in within) if len(within) > 1 else ()
        return Value(
            option.key, text, items, self.file, option.line, quoted, cut, scanned is None, spans, columns, each
        )

    def long_value(self, option: _Line) -> Value:
        """A value between triple quotes, to the line that closes it."""
        quote, rest = option.raw[:3], option.raw[3:]
        rest_at = option.raw_at + 3
        parts: list[str] = []
        if quote not in rest:
            parts.append(self.lines[self.line - 1].removesuffix("\r")[rest_at - self.start :])
            while self.line < len(self.lines):
                rest = self.take().removesuffix("\r")
                rest_at = self.start
                if quote in rest:
                    break
                parts.append(rest)
            else:
                self.complete = False
                text = f"the {quote} that opens here is never closed; put {quote} after the last line"
                column = option.raw_at - option.start + 1
                self.error(text, Position(self.file, option.line, column, column + 3), option.key)
                return self.made(option, None, len(self.text))
        last, _, after = rest.partition(quote)
        parts.append(last)
        cut = after.strip()
        if cut and cut[0] != "#":
            end = rest_at + len(rest.rstrip())
            self.error(
                f"text follows the closing {quote}; end the line there", self.at(end - len(cut), end), option.key
            )
            return self.made(option, None, rest_at + len(rest.rstrip()))
        text = "\n".join(parts)
        return self.made(option, Scanned(text, (text,), True, cut), rest_at + len(rest) - len(after))
