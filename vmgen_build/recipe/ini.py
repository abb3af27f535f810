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
from vmgen_build.recipe.problems import Problems, place, plain


class Value(NamedTuple):
    """An option's value.

    text: the whole value without comment, unquoted where quotes enclose all of it. items: the same split at commas,
    each unquoted; a comma at the end adds none. quoted: quotes enclose all of it. cut: the comment that ended it, with
    its `#`. broken: its syntax is wrong and has been reported.
    """

    key: str
    text: str
    items: tuple[str, ...]
    file: str
    line: int
    quoted: bool = False
    cut: str = ""
    broken: bool = False

    @property
    def where(self) -> Position:
        return Position(self.file, self.line)

    def part(self, text: str) -> Value:
        """One item or line of this value as a value of its own, without a key."""
        return self._replace(key="", text=text, items=(text,), quoted=True)


class IniSection:
    """A section: its options and subsections by name, in the file's order. The root has depth 0 and no name."""

    __slots__ = ("depth", "file", "line", "name", "sections", "values")

    def __init__(self, name: str, depth: int, file: str, line: int) -> None:
        self.name, self.depth, self.file, self.line = name, depth, file, line
        self.values: dict[str, Value] = {}
        self.sections: dict[str, IniSection] = {}

    @property
    def where(self) -> Position:
        return Position(self.file, self.line)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's sections. complete: false where an unclosed quote swallowed the rest of the file. lost: a section's
    head is wrong, and what stands below it is not among the sections."""

    root: IniSection
    complete: bool
    lost: bool


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


class _Parser:
    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self.file, self.problems = file, problems
        self.lines = text.split("\n")
        self.line = 0
        self.root = IniSection("", 0, file, 0)
        self.stack = [self.root]
        self.complete, self.lost = True, False

    def run(self) -> Document:
        lines, total = self.lines, len(self.lines)
        while self.line < total and self.complete:
            line = lines[self.line].strip()
            self.line += 1
            if not line or line[0] == "#":
                continue
            if line[0] == "[":
                self.head(line)
            else:
                self.option(line)
        return Document(self.root, self.complete, self.lost)

    def error(self, text: str, option: str = "", line: int = 0) -> None:
        path = place([s.name for s in self.stack[1:]], option)
        self.problems.error(Position(self.file, line or self.line), path, text, "syntax")

    def head(self, line: str) -> None:
        body = line.lstrip("[ \t")
        depth = line[: len(line) - len(body)].count("[")
        if body[:1] in ("'", '"'):
            name, _, closing = body[1:].partition(body[0])
        else:
            name, bracket, rest = body.partition("]")
            name, closing = name.strip(), bracket + rest
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
        elif depth > len(self.stack):
            above = place([s.name for s in self.stack[1:]]) or "the file's top"
            right = _head(name, len(self.stack))
            self.head_error(f"{_head(name, depth)} skips a level; right below {above} write {right}", depth)
        else:
            self.enter(name, depth)

    def head_error(self, text: str, depth: int) -> None:
        """Report a wrong head, and go on in a section that hangs nowhere: its lines are still checked."""
        self.problems.error(Position(self.file, self.line), "", text, "syntax")
        self.lost = True
        depth = min(depth, len(self.stack) + _LOST_LEVELS)
        del self.stack[depth:]
        while len(self.stack) <= depth:
            self.stack.append(IniSection("?", len(self.stack), self.file, self.line))

    def enter(self, name: str, depth: int) -> None:
        del self.stack[depth:]
        parent = self.stack[-1]
        existing = parent.sections.get(name)
        option = parent.values.get(name)
        section = existing or IniSection(name, depth, self.file, self.line)
        self.stack.append(section)
        if existing is not None:
            self.error(f"stands already at line {existing.line}; keep one of them")
            return
        parent.sections[name] = section
        if option is not None:
            del parent.values[name]
            self.error(f"is an option already at line {option.line}; keep either the option or the section")

    def option(self, line: str) -> None:
        number = self.line
        if line[0] in "'\"":
            match = re.match(f"{line[0]}(.*?){line[0]}\\s*=", line)
            if not match:
                self.error("neither a section nor an option; write name = value, or # before a comment")
                return
            key, raw = match.group(1), line[match.end() :].lstrip()
        else:
            key, equals, raw = line.partition("=")
            key, raw = key.rstrip(), raw.lstrip()
            if not equals:
                self.error("neither a section nor an option; write name = value, or # before a comment")
                return
        if not key:
            self.error("the name before = is missing; write name = value")
            return
        value = self.value(key, raw, number)
        self.keep(key, value)

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

    def value(self, key: str, raw: str, number: int) -> Value:
        if not _SPECIAL.search(raw):
            return Value(key, raw, (raw,) if raw else (), self.file, number)
        if raw[:3] in ("'''", '"""'):
            return self.long_value(key, raw, number)
        scanned = _scan(raw)
        if isinstance(scanned, str):
            self.error(scanned, key)
            return Value(key, "", (), self.file, number, broken=True)
        return Value(key, scanned.text, scanned.items, self.file, number, scanned.quoted, scanned.cut)

    def long_value(self, key: str, raw: str, number: int) -> Value:
        """A value between triple quotes, to the line that closes it."""
        quote, rest = raw[:3], raw[3:]
        parts: list[str] = []
        if quote not in rest:
            opening = self.lines[number - 1].removesuffix("\r")
            parts.append(rest + opening[len(opening.rstrip()) :])
            rest = ""
            while self.line < len(self.lines):
                rest = self.lines[self.line].removesuffix("\r")
                self.line += 1
                if quote in rest:
                    break
                parts.append(rest)
            else:
                self.complete = False
                self.error(f"the {quote} that opens here is never closed; put {quote} after the last line", key, number)
                return Value(key, "", (), self.file, number, broken=True)
        last, _, after = rest.partition(quote)
        parts.append(last)
        if after.strip() and not after.strip().startswith("#"):
            self.error(f"text follows the closing {quote}; end the line there", key)
            return Value(key, "", (), self.file, number, broken=True)
        text = "\n".join(parts)
        return Value(key, text, (text,), self.file, number, quoted=True, cut=after.strip())
