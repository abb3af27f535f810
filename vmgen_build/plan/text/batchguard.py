"""Refuses batch templates that put a value where its quoting means something else.

An argument of a program is quoted for the program's C library and for cmd.exe. Within double quotes, comments, labels
and %...%, after a caret, and in the words of cmd.exe's own commands, the same text is read in other ways. So a value
stands there only through a filter of the dialect (vmgen_build.plan.text.batch), or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from vmgen_build.plan.text.batchlines import Line

_VALUE = "x"
_OWN_TEXT = ("trusted", "verbatim")
_WHOLE_LINES = ("assigned", *_OWN_TEXT)
_FILTERED = {
    "set": ("plain",),
    "echo": ("echoed", "plain"),
    "if": ("quoted", "plain"),
    "for": ("quoted", "plain"),
    "call": ("called", "plain"),
    "goto": ("plain",),
}
"""First word of a line -> the filters that its values go through."""

_OF_COMMANDS = {"echoed": ("echo",), "called": ("call",)}
_BUILT_IN = ("cd", "chdir", "copy", "del", "erase", "if", "for", "md", "mkdir", "move", "rd", "ren", "rmdir", "type")
_ARGUMENTS = re.compile(r"%(?:\*|~[a-z]*\d|\d)", re.I)
_REDIRECTED = re.compile(r"[<>]\s*\Z")
_OPEN = ("lparen", "lbracket", "lbrace")
_CLOSED = ("rparen", "rbracket", "rbrace")
_ONE_VALUE = ("name", "dot", "pipe", "string", "integer")
_WORDS_OF_JINJA = ("if", "else", "and", "or", "not", "in", "is")


class BatchText:
    """The line of a batch file that the text fed so far ends in.

    whole: a value is the whole line. last: the filter of a value that stands at the end of it ("" for none), or None.
    passed: line ends of the text that was fed last.
    """

    def __init__(self) -> None:
        self.line = ""
        self.whole = False
        self.last: str | None = None
        self.passed = 0

    def feed(self, text: str) -> None:
        """Raises ValueError for a line that ends in a wrong way, or that goes on wrongly behind a value."""
        for number, piece in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                self._end_line()
            self.passed = number
            if self.whole and piece.strip():
                raise ValueError("more text on the line of a value that is a whole line")
            if piece:
                self._behind_value(piece[0])
                self.line, self.last = self.line + piece, None

    def add_value(self, chosen: str) -> None:
        self.whole = chosen in _WHOLE_LINES and not self.line.strip()
        self.line += _VALUE
        self.last = chosen

    def place_of_tag(self) -> str:
        """Why no tag may stand here, or "" where one may."""
        line = Line(self.line)
        if line.kind == "comment":
            return "in a comment"
        if self._quoted():
            return "inside double quotes"
        return self._anywhere()

    def place(self, chosen: str) -> str:
        """Why a value must not stand here that goes through this filter ("" for none), or "" where it may."""
        line = Line(self.line)
        if line.kind == "comment":
            return "in a comment"
        if chosen == "plain":
            return self._anywhere() or self._first_of_echo(line)
        if line.kind == "label":
            return "in a label; use the filter plain"
        if self._quoted():
            return "inside double quotes; use the filter plain, or let the value quote itself"
        if line.kind == "blank":
            return "" if chosen in _WHOLE_LINES else "as a command; use the filter assigned or trusted"
        if self.last is not None:
            return "directly behind another value; join them by ~"
        return self._anywhere() or self._glued() or self._of_command(line, chosen)

    def _anywhere(self) -> str:
        if self.whole:
            return "on the line of a value that is a whole line"
        if not self._quoted() and Line(self.line + "^").bare.endswith("x"):
            return "after a caret"
        rest = _ARGUMENTS.sub("", self.line.replace("%%", ""))
        if rest.count("%") % 2:
            return "inside %...%"
        return "after a percent sign" if self.line.endswith("%") and not re.search(r"%\w+%\Z", self.line) else ""

    def _glued(self) -> str:
        return {"\\": "after a backslash; join them by ~", '"': "after a double quote"}.get(self.line[-1:], "")

    def _of_command(self, line: Line, chosen: str) -> str:
        if not chosen and _REDIRECTED.search(line.bare):
            return ""
        name = line.first
        wanted = _FILTERED.get(name)
        if wanted is not None and chosen not in wanted:
            named = " or ".join(wanted)
            return f"in a line of {name}, where it goes through the filter {named} alone"
        if chosen == "assigned" or name not in _OF_COMMANDS.get(chosen, (name,)):
            return f"through the filter {chosen} in a line of {name}"
        if chosen == "quoted" and name not in _BUILT_IN:
            return f"through the filter quoted, which is not for programs such as {name}"
        return self._first_of_echo(line)

    def _first_of_echo(self, line: Line) -> str:
        if line.first == "echo" and not line.words[1:]:
            return "as the first word of echo, which may be on or off; write text before it"
        return ""

    def _behind_value(self, char: str) -> None:
        if self.last is None or self._quoted():
            return
        if char in "<>":
            raise ValueError("a value directly before a redirection")
        if char == '"' and self.last != "plain":
            raise ValueError("a double quote directly behind a value")

    def _quoted(self) -> bool:
        return Line(self.line).bare.count('"') % 2 == 1

    def _end_line(self) -> None:
        line = Line(self.line)
        if line.kind == "command" and self._quoted():
            raise ValueError("a line that ends inside double quotes")
        if line.kind == "command" and line.bare.endswith("^"):
            raise ValueError("a line that goes on after a caret")
        self.line, self.whole, self.last = "", False, None


class BatchGuard(Extension):
    """Jinja extension: every tag of the template is checked when the template is compiled."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        where = BatchText()
        line = 1
        for tokens in whole_tags(stream):
            line = tokens[0].lineno
            try:
                self._look_at(where, tokens)
            except ValueError as error:
                raise _refused(str(error), line + where.passed, stream) from error
            yield from tokens
        try:
            where.feed("\n")
        except ValueError as error:
            raise _refused(str(error), line, stream) from error

    def _look_at(self, where: BatchText, tokens: Sequence[Token]) -> None:
        first = tokens[0]
        where.passed = 0
        if first.type == "data":
            where.feed(first.value)
        elif first.type == "block_begin" and (place := where.place_of_tag()):
            raise ValueError(f"a tag {place}")
        elif first.type == "variable_begin":
            chosen = filter_of(tokens[1:-1])
            if place := where.place(chosen):
                raise ValueError(f"a value {place}")
            where.add_value(chosen)


def whole_tags(stream: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens one by one, but those of a value's tag together."""
    tokens = iter(stream)
    for token in tokens:
        found = [token]
        while found[0].type == "variable_begin" and found[-1].type != "variable_end":
            following = next(tokens, None)
            if following is None:
                break
            found.append(following)
        yield found


def filter_of(tokens: Sequence[Token]) -> str:
    """The last filter of an expression that is one value with filters; "" of any other."""
    depth, chosen, before = 0, "", ""
    for token in tokens:
        depth -= token.type in _CLOSED
        if not depth and token.type not in (*_OPEN, *_CLOSED):
            if token.type not in _ONE_VALUE or (before != "dot" and token.value in _WORDS_OF_JINJA):
                return ""
            if token.type == "name" and before in ("pipe", "dot"):
                chosen = token.value if before == "pipe" else ""
        elif token.type == "lbracket" and not depth:
            chosen = ""
        depth += token.type in _OPEN
        before = token.type
    return chosen


def _refused(what: str, line: int, stream: TokenStream) -> TemplateSyntaxError:
    return TemplateSyntaxError(f"not allowed in a batch template: {what}", line, stream.name, stream.filename)
