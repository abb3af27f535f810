"""Refuses PowerShell templates that put a value where single quotes do not make it one string.

Inside quotes, comments and here-strings, after a backtick, and glued to other text, a quoted string means something
else (about_Quoting_Rules, about_Parsing, about_Comments). So the text between a template's tags is followed by a small
model of PowerShell's lexer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from vmgen_build.plan.text.batchguard import filter_of, whole_tags

_PLACES = {
    '"': "inside double quotes",
    "'": "inside single quotes",
    "#": "in a comment",
    "<#": "in a comment",
    "@'": "in a here-string",
    '@"': "in a here-string",
}
_BEGINS = re.compile("@['\"](?=[ \t]*\r?\n)|<#|(?<![^\\s;(){}|&,])#|['\"\u2018-\u201e]")
_ENDS = {
    '"': re.compile('`.|["\u201c-\u201e]', re.S),
    "'": re.compile("['\u2018-\u201b]"),
    "#": re.compile(r"\n"),
    "<#": re.compile(r"#>"),
    "@'": re.compile("(?<=\n)'@"),
    '@"': re.compile('(?<=\n)"@'),
}
_TYPOGRAPHIC = {**dict.fromkeys(range(0x2018, 0x201C), "'"), **dict.fromkeys(range(0x201C, 0x201F), '"')}
_BEFORE = re.compile(r"(?:\A|[\s(,=\[{;:|&])\Z")
_BEHIND = re.compile(r"[\s),;\]}|]")
_NEXT = re.compile(r"`.", re.S)


class PowerShellText:
    """Where in a script the text fed so far ends. open: the construct that is open there, a key of _PLACES, or ""."""

    def __init__(self) -> None:
        self.text = ""
        self.open = ""
        self.value_ends = False

    def feed(self, text: str) -> None:
        """Raises ValueError for text that is glued to the value before it."""
        if self.value_ends and text and not self.open and not _BEHIND.match(text):
            raise ValueError(f"{text[:1]!r} directly behind a value")
        self.value_ends = self.value_ends and not text
        position = len(self.text)
        self.text += text
        while position < len(self.text):
            position = self._inside(position) if self.open else self._outside(position)

    def add_value(self) -> None:
        self.text += "x"
        self.value_ends = True

    def place(self) -> str:
        """Why no value may stand here, or "" where one may."""
        if self.open:
            return _PLACES[self.open]
        if self.value_ends or not _BEFORE.search(self.text[-1:]):
            return f"directly behind {'another value' if self.value_ends else repr(self.text[-1:])}"
        return ""

    def _outside(self, position: int) -> int:
        if _NEXT.match(self.text, position):
            return position + 2
        found = _BEGINS.match(self.text, position)
        if found is None:
            return position + 1
        self.open = found[0].translate(_TYPOGRAPHIC)
        return found.end()

    def _inside(self, position: int) -> int:
        found = _ENDS[self.open].search(self.text, position)
        if found is None:
            return len(self.text)
        if not found[0].startswith("`"):
            self.open = ""
        return found.end()


class PowerShellGuard(Extension):
    """Jinja extension: every tag of the template is checked when the template is compiled."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        where = PowerShellText()
        line = 1
        for tokens in whole_tags(stream):
            first = tokens[0]
            line = first.lineno
            try:
                self._look_at(where, first, filter_of(tokens[1:-1]))
            except ValueError as error:
                raise _refused(str(error), line, stream) from error
            yield from tokens
        if where.open not in ("", "#"):
            raise _refused(f"it ends {where.place()}", line, stream)

    def _look_at(self, where: PowerShellText, first: Token, chosen: str) -> None:
        if first.type == "data":
            where.feed(first.value)
        elif first.type == "block_begin" and where.open:
            raise ValueError(f"a tag {_PLACES[where.open]}")
        elif first.type == "variable_begin":
            if place := where.place():
                raise ValueError(f"a value {place}")
            if chosen not in ("trusted", "verbatim"):
                where.add_value()


def _refused(what: str, line: int, stream: TokenStream) -> TemplateSyntaxError:
    return TemplateSyntaxError(f"not allowed in a PowerShell template: {what}", line, stream.name, stream.filename)
