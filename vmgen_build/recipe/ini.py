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
from vmgen_build.recipe.spans import HeadSpans, OptionSpans, Span


class Value(NamedTuple):
    """An option's value.

    text: the whole value without comment, unquoted where quotes enclose all of it. items: the same split at commas,
    each unquoted; a comma at the end adds none. quoted: quotes enclose all of it. cut: the comment that ended it, with
    its `#`. broken: its syntax is wrong and has been reported. spans: where it stands in the file's text; None for
    a part of a value, and for one that stands in no file.
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

    @property
    def where(self) -> Position:
        return Position(self.file, self.line)

    def part(self, text: str) -> Value:
        """One item or line of this value as a value of its own, without a key."""
        return self._replace(key="", text=text, items=(text,), quoted=True, spans=None)


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
        return Position(self.file, self.line)

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
    stands below it is not among the sections.
    """

    text: str
    root: IniSection
    comments: tuple[Span, ...]
    complete: bool
    lost: bool

    def line_at(self, offset: int) -> int:
        """The number of the line that holds an offset; lines count from 1."""
        return self.text.count("\n", 0, offset) + 1


def parse(text: str, file: str, problems: Problems) -> Document:
    """Read a file's text; syntax errors go to `problems`."""
    return _Parser(text, file, problems).run()


def parse_items(text: str) -> tuple[str, ...]:
    """Split at commas outside quotes, as in a file but without comments; plainly where the quotes do not match."""
    scanned = _scan(text.strip(), comments=False)
    return scanned.items if isinstance(scanned, _Scanned) else tuple(part.strip() for part in text.split(","))


_SPECIAL = re.compile("[,#'\"]")
# Where an item ends: unquoted, and by its quote; with comments as in a file, and without.
_ITEM_END = {True: re.compile(r",|\s#"), False: re.compile(",")}
_QUOTE_END = {
    (quote, comments): re.compile(quote + rf"\s*(?:(?=[{stop}])|\Z)")
    for quote in "'\""
    for comments, stop in ((True, ",#"), (False, ","))
}


class _Scanned(NamedTuple):
    text: str
    items: tuple[str, ...]
    quoted: bool
    cut: str


def _scan(raw: str, comments: bool = True) -> _Scanned | str:
    """A value's parts, or what is wrong with it."""
    items: list[str] = []
    pos, end, only_quoted, comma = 0, len(raw), False, False
    cut = ""
    while pos < end:
        if comments and raw[pos] == "#" and (pos == 0 or raw[pos - 1].isspace()):
            cut = raw[pos:]
            break
        if raw[pos] in "'\"":
            found = _quoted(raw, pos, comments)
            if isinstance(found, str):
                return found
            item, pos = found
            only_quoted = not items
        else:
            match = _ITEM_END[comments].search(raw, pos)
            stop = match.start() if match else end
            item, pos, only_quoted = raw[pos:stop].strip(), stop, False
        items.append(item)
        pos = _skip_space(raw, pos)
        if pos < end and raw[pos] == "#" and comments:
            cut = raw[pos:]
            break
        comma = pos < end
        pos = _skip_space(raw, pos + 1)
    only_quoted = only_quoted and not comma
    whole = raw[: end - len(cut)].rstrip()
    if raw == ",":
        items = []
    return _Scanned(items[0] if only_quoted else whole, tuple(items), only_quoted, cut)


def _skip_space(raw: str, pos: int) -> int:
    end = len(raw)
    while pos < end and raw[pos].isspace():
        pos += 1
    return pos


def _quoted(raw: str, pos: int, comments: bool) -> tuple[str, int] | str:
    """The quoted item at `pos` and where it ends, or what is wrong with it."""
    quote = raw[pos]
    match = _QUOTE_END[quote, comments].search(raw, pos + 1)
    if match:
        return raw[pos + 1 : match.start()], match.end()
    other = "'" if quote == '"' else '"'
    if raw.find(quote, pos + 1) < 0:
        return f"the quote {quote} is never closed; close it, or put the whole value between {other} quotes"
    return f"text follows the closing quote {quote}; put the whole value between {other} quotes"


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
        return Document(self.text, self.root, tuple(self.comments), self.complete, self.lost)

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

    def error(self, text: str, option: str = "", line: int = 0) -> None:
        path = place([s.name for s in self.stack[1:]], option)
        self.problems.error(Position(self.file, line or self.line), path, text, "syntax")

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
        if not closed:
            self.head_error(f"the bracket of a section is never closed; write {_head('name', depth)}", depth)
        elif after and not after.startswith("#"):
            self.head_error("text follows a section's name; put it on a line of its own", depth)
        elif not name:
            self.head_error(f"a section has no name; write {_head('name', depth)}", depth)
        elif depth != closed:
            self.head_error(
                f"a section opens with {depth} and closes with {closed} brackets; write as many of each", depth
            )
        elif depth > RECIPE_DEPTH.amount:
            self.head_error(f"the sections are nested too deep: {RECIPE_DEPTH.exceeded}", depth)
        elif depth > len(self.stack):
            above = place([s.name for s in self.stack[1:]]) or "the file's top"
            right = _head(name, len(self.stack))
            self.head_error(f"{_head(name, depth)} skips a level; right below {above} write {right}", depth)
        else:
            comment = Span(at + len(line) - len(after), at + len(line))
            self.enter(name, depth, HeadSpans(Span(self.start, self.after), name_span, comment))

    def head_error(self, text: str, depth: int) -> None:
        """Report a wrong head, and go on in a section that hangs nowhere: its lines are still checked."""
        self.problems.error(Position(self.file, self.line), "", text, "syntax")
        self.lost = True
        depth = min(depth, len(self.stack) + _LOST_LEVELS, RECIPE_DEPTH.amount)
        self.close(depth, self.start)
        while len(self.stack) <= depth:
            self.stack.append(IniSection("?", len(self.stack), self.file, self.line))

    def enter(self, name: str, depth: int, head: HeadSpans) -> None:
        self.close(depth, self.start)
        parent = self.stack[-1]
        existing = parent.sections.get(name)
        option = parent.values.get(name)
        section = existing or IniSection(name, depth, self.file, self.line)
        section.head = section.head or head
        self.stack.append(section)
        if existing is not None:
            self.error(f"stands already at line {existing.line}; keep one of them")
            return
        parent.sections[name] = section
        if option is not None:
            del parent.values[name]
            self.error(f"is an option already at line {option.line}; keep either the option or the section")

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
            self.error("neither a section nor an option; write name = value, or # before a comment")
        elif not key:
            self.error("the name before = is missing; write name = value")
        else:
            raw_at = at + len(line) - len(raw)
            self.keep(key, self.value(_Line(key, self.line, self.start, at, key_end, raw, raw_at)))

    def keep(self, key: str, value: Value) -> None:
        section = self.stack[-1]
        first = section.values.get(key)
        if first is not None:
            self.error(f"stands already at line {first.line}; keep one of them", key, value.line)
        elif key in section.sections:
            there = section.sections[key].line
            self.error(f"is a section already at line {there}; keep either of them", key, value.line)
        else:
            section.values[key] = value

    def value(self, option: _Line) -> Value:
        raw = option.raw
        if not _SPECIAL.search(raw):
            return self.made(option, _Scanned(raw, (raw,) if raw else (), False, ""), option.raw_at + len(raw))
        if raw[:3] in ("'''", '"""'):
            return self.long_value(option)
        scanned = _scan(raw)
        if isinstance(scanned, str):
            self.error(scanned, option.key)
            return self.made(option, None, option.raw_at + len(raw))
        written = raw[: len(raw) - len(scanned.cut)].rstrip()
        return self.made(option, scanned, option.raw_at + len(written))

    def made(self, option: _Line, scanned: _Scanned | None, value_end: int) -> Value:
        """The option's value, which ends on the line that is read; scanned: None where its syntax is wrong."""
        text, items, quoted, cut = scanned or _Scanned("", (), False, "")
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
        return Value(option.key, text, items, self.file, option.line, quoted, cut, scanned is None, spans)

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
                self.error(text, option.key, option.line)
                return self.made(option, None, len(self.text))
        last, _, after = rest.partition(quote)
        parts.append(last)
        cut = after.strip()
        if cut and cut[0] != "#":
            self.error(f"text follows the closing {quote}; end the line there", option.key)
            return self.made(option, None, rest_at + len(rest.rstrip()))
        text = "\n".join(parts)
        return self.made(option, _Scanned(text, (text,), True, cut), rest_at + len(rest) - len(after))
