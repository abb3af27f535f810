"""Refuses sh templates that put a value where quoting does not protect it.

A quoted word is data only where the shell expects a word. Inside quotes, comments, here-documents or backticks, and
right after a backslash or a dollar sign, the same text means something else ("{{ x }}" would run the $(...) in x). So
the text between a template's tags is followed by a small model of the shell's lexer (POSIX.1-2017, XCU 2.2, 2.3 and
2.7.4), and a tag is allowed only outside all of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:\\?(\w+)|'(\w+)'|\"(\w+)\")")
_PLACES = {
    '"': "inside double quotes",
    "{": "inside double quotes",
    "'": "inside single quotes",
    "#": "in a comment",
    "<": "in a here-document",
}
_BACKTICKS = "backticks; write $(...)"


class ShellText:
    """Where in a shell script the text fed so far ends.

    The stack holds an entry per construct that is open: '"', "'", "#" (comment), "<" (here-document), "(", and "{" for
    a parameter expansion within double quotes.
    """

    def __init__(self) -> None:
        self.stack: list[str] = []
        self.last = "\n"
        self.heredocs: list[tuple[str, bool]] = []

    def feed(self, text: str) -> None:
        """Raises ValueError for what templates must not use at all."""
        position = 0
        while position < len(text):
            top = self.stack[-1] if self.stack else ""
            if top == "<":
                position = self._in_heredoc(text, position)
                continue
            step = self._quoted(text, position, top) if top in _PLACES else self._plain(text, position)
            self.last = text[position + step - 1]
            position += step

    def place(self) -> str:
        """Why a value must not stand here, or "" where it may."""
        if self.stack and self.stack[-1] in _PLACES:
            return _PLACES[self.stack[-1]]
        return {"\\": "after a backslash", "$": "after a dollar sign"}.get(self.last, "")

    def _quoted(self, text: str, position: int, top: str) -> int:
        """Characters taken from inside quotes or a comment."""
        char = text[position]
        if top in ('"', "{"):
            return self._double_quoted(text, position, top)
        if top == "#" and char == "\n":
            self.stack.pop()
            return self._plain(text, position)
        if top == "'" and char == "'":
            self.stack.pop()
        return 1

    def _double_quoted(self, text: str, position: int, top: str) -> int:
        char = text[position]
        if char == "\\":
            return min(2, len(text) - position)
        if char == "`":
            raise ValueError(_BACKTICKS)
        if char == "$" and text[position + 1 : position + 2] in ("(", "{"):
            self.stack.append(text[position + 1])
            return 2
        if char == '"' and top == "{":
            raise ValueError("double quotes in a ${...} that is itself in double quotes")
        if char == {'"': '"', "{": "}"}[top]:
            self.stack.pop()
        return 1

    def _plain(self, text: str, position: int) -> int:
        char = text[position]
        if char == "\\":
            return min(2, len(text) - position)
        if char == "`":
            raise ValueError(_BACKTICKS)
        if char in "'\"" and self.last == "$":
            raise ValueError(f"${char}, which shells read differently")
        if text.startswith("case ", position) and '"' in self.stack:
            raise ValueError("case within double quotes")
        if char in "'\"(" or (char == "#" and self.last in " \t\n;&|("):
            self.stack.append(char)
        elif char == ")" and self.stack and self.stack[-1] == "(":
            self.stack.pop()
        elif char == "\n" and self.heredocs:
            self.stack.append("<")
        elif char == "<" and self.last != "<" and (found := _HEREDOC.match(text, position)):
            self.heredocs.append((found[2] or found[3] or found[4], bool(found[1])))
            return found.end() - position
        return 1

    def _in_heredoc(self, text: str, position: int) -> int:
        end = text.find("\n", position)
        line, following = (text[position:], len(text)) if end < 0 else (text[position:end], end + 1)
        word, tabs = self.heredocs[0]
        if (line.lstrip("\t") if tabs else line) == word:
            self.heredocs.pop(0)
            if not self.heredocs:
                self.stack.pop()
        self.last = "\n"
        return following


class ShellGuard(Extension):
    """Jinja extension: every tag of the template is checked when the template is compiled."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        where = ShellText()
        ended = False
        line = 1
        for token in stream:
            line = token.lineno
            if token.type == "data":
                if ended and token.value[:1] in ("<", ">"):
                    raise _refused("a value directly before a redirection", line, stream)
                try:
                    where.feed(token.value)
                except ValueError as error:
                    raise _refused(str(error), line, stream) from error
            elif token.type in ("variable_begin", "block_begin") and (place := where.place()):
                raise _refused(f"a value or tag {place}", line, stream)
            if token.type == "variable_end":
                where.last = "x"
            ended = token.type == "variable_end"
            yield token
        if where.stack or where.place():
            raise _refused(f"it ends {where.place() or 'inside parentheses'}", line, stream)


def _refused(what: str, line: int, stream: TokenStream) -> TemplateSyntaxError:
    return TemplateSyntaxError(f"not allowed in a shell template: {what}", line, stream.name, stream.filename)
