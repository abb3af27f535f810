"""Lines of a batch file as cmd.exe takes them apart: what is quoted, what a line runs, where its output goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from vmgen_build.plan.text.quote import shown

_WORD = re.compile(r"\S+")
_COMMENT = re.compile(r"(?:::|rem(?:[\s.,;=/(+\[\]\\]|\Z))", re.I)
_REDIRECTION = re.compile(r"(?P<sign>[<>]+)(?:&\d|\s*(?P<file>[^\s<>&|]+))?")
_ONLY_REDIRECTIONS = re.compile(r"(?:\s*\d?[<>]+(?:&\d|\s*[^\s<>&|]+))*\s*")
_NAME = re.compile(r"[A-Za-z]+")
_UNARY = ("exist", "defined", "errorlevel", "cmdextversion")
_COMPARISONS = ("==", "equ", "neq", "lss", "leq", "gtr", "geq")

QUIET = ("goto", "exit", "setlocal", "endlocal", "echo")
"""Commands whose code means nothing."""


@dataclass(frozen=True)
class Line:
    """One line, without its end."""

    text: str

    @cached_property
    def bare(self) -> str:
        """The line, with x for each character that is quoted or has a caret."""
        found, quoted, escaped = [], False, False
        for char in self.text:
            plain = not (escaped or (quoted and char != '"'))
            found.append(char if plain else "x")
            if not escaped and char == '"':
                quoted = not quoted
            escaped = plain and char == "^" and not quoted
        return "".join(found)

    @cached_property
    def kind(self) -> str:
        """ "blank", "comment", "label" or "command"."""
        text = self.text.strip().removeprefix("@").lstrip()
        if not text:
            return "blank"
        if _COMMENT.match(text):
            return "comment"
        return "label" if text.startswith(":") else "command"

    @property
    def label(self) -> str:
        """Of a label, in small letters."""
        return re.split(r"[\s:+,;=&|<>]", self.text.strip()[1:], maxsplit=1)[0].lower()

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """Those of the whole line: each as it stands, and bare."""
        spans = [match.span() for match in _WORD.finditer(self.bare)]
        return [(self.text[start:end], self.bare[start:end]) for start, end in spans]

    @cached_property
    def command(self) -> list[str]:
        """The words of the command that runs: of an `if` or `for`, what it runs."""
        words = self.words
        while (following := _nested(words)) is not None:
            words = following
        return [text for text, _ in words]

    @cached_property
    def first(self) -> str:
        """The line's first word, in small letters, without @ and what is glued to echo."""
        return _plain_name(self.words[0][0]) if self.words else ""

    @cached_property
    def program(self) -> str:
        """The first word of the command that runs, in the same way."""
        return _plain_name(self.command[0]) if self.command else ""

    @property
    def title(self) -> str:
        """The program and the word after it, where they are plain; never a quoted value or a variable."""
        words = [self.first] if self.first in ("if", "for") else []
        name = self.program.rpartition("\\")[2].strip('"')
        words += [name if re.fullmatch(r"[a-z0-9_.-]+", name) else "a program"]
        following = self.command[1:2]
        return " ".join(words + [word for word in following if re.fullmatch(r"/?[A-Za-z][A-Za-z-]{0,19}", word)])

    @property
    def cleared(self) -> str:
        """The variable that the line takes away, which gives code 1 where there is none; "" for another line."""
        found = re.fullmatch(r'"([^"=]+)="', self.command[1]) if self._sets() and len(self.command) == 2 else None
        return found[1] if found else ""

    def problem(self) -> str:
        """What a checked script must not hold, or "" ."""
        if self.kind != "command":
            return ""
        bare = self.bare
        if bare.rstrip().endswith("^"):
            return "a line must not go on on the next one; write one line"
        if bare.count('"') % 2:
            return "a double quote is open at its end; close it"
        if re.search(r"(?<![<>])[&|]", bare):
            return "it holds & or |, which runs a second command; write two lines"
        return self._block() or self._redirection() or self._command()

    def _block(self) -> str:
        opens = self.words[0][1][0] in "()" or self.program.startswith("(")
        return "it opens or closes a block, in which no code can be checked; write goto" if opens else ""

    def _redirection(self) -> str:
        if self.first == "for":
            return ""
        found = _REDIRECTION.search(self.bare)
        if found is None:
            return ""
        start = found.start() - (self.bare[found.start() - 1 : found.start()].isdigit())
        if re.search(r"%(?:(?:~[a-z]*)?\d)?[<>]", self.bare, re.I):
            return "a variable stands directly before a redirection, for which its last digit counts; write a blank"
        if not self.bare[:start].strip(" @"):
            return "a redirection stands in front; write it last"
        return "" if _ONLY_REDIRECTIONS.fullmatch(self.bare[start:]) else "words follow a redirection; write it last"

    def _command(self) -> str:
        words = self.command
        if not words:
            return "an if or for without a command; write it whole"
        if self.program == "call" and words[1:] and words[1].startswith(":"):
            return "call of a label: its failure does not end the script; write goto"
        if re.search(r"\.(?:bat|cmd)\"?\Z", words[0], re.I):
            return f"{shown(words[0])} is a batch file, which would not come back; write call before it"
        if self.removed and "/q" not in map(str.lower, words):
            return f"{self.program} may ask, and nobody answers; add /q"
        if self.program == "set" and words[1:] and words[1].lower() == "/p" and not (self.asked and self.files("<")):
            return "a set /p reads a file; write set /p NAME=<FILE"
        if self.program == "set" and not re.match(r'(?:/[pa]\Z|")', words[1] if words[1:] else "", re.I):
            return 'a set without quotes keeps blanks at its end; write set "NAME=value"'
        if self.first == "for" and not (self.program in QUIET or self._sets()):
            return "of a for only the last turn's failure is seen; write a line for each"
        return ""

    def _sets(self) -> bool:
        return self.program == "set" and self.command[1:] != [] and self.command[1][0] == '"'

    @property
    def fails(self) -> bool:
        """Whether it runs a command whose code counts."""
        if self.kind != "command" or self._sets():
            return False
        return self.program not in QUIET or (self.program == "echo" and ">" in self.bare)

    def files(self, sign: str) -> list[str]:
        """Those that the line reads ("<") or writes (">"), as they stand there. Where one cannot be opened, cmd.exe
        leaves the command out and the last code as it is."""
        if self.first == "for":
            return []
        found = [match for match in _REDIRECTION.finditer(self.bare) if match["sign"][0] == sign and match["file"]]
        names = [self.text[slice(*match.span("file"))] for match in found]
        return [name for name in names if name.lower() != "nul"]

    @property
    def asked(self) -> str:
        """The variable that `set /p` gives a value, or "" ."""
        if self.program != "set" or self.command[1].lower() != "/p":
            return ""
        return self.command[2].strip('"').partition("=")[0] if self.command[2:] else ""

    @property
    def removed(self) -> list[str]:
        """What del and rd take away. They end with 0 where they could not."""
        if self.program not in ("del", "erase", "rd", "rmdir"):
            return []
        return [word for word in self.command[1:] if not re.match(r"/|\d?[<>]", word)]


def lines_of(text: str) -> list[Line]:
    """Those of a text with line ends of either kind."""
    return [Line(line) for line in re.split(r"\r?\n", text)]


def _plain_name(word: str) -> str:
    word = word.removeprefix("@").lower()
    return "echo" if re.match(r"echo[.(:\[\]/\\+,;=]", word) else word


def _nested(words: list[tuple[str, str]]) -> list[tuple[str, str]] | None:
    """What an `if` or a `for` runs; None for another command."""
    name = _plain_name(words[0][0]) if words else ""
    if name == "for":
        bare = [bare.lower() for _, bare in words]
        return words[bare.index("do") + 1 :] if "do" in bare else []
    if name != "if":
        return None
    rest = words[1:]
    while rest and rest[0][1].lower() in ("/i", "not"):
        rest = rest[1:]
    return rest[_condition(rest) :]


def _condition(words: list[tuple[str, str]]) -> int:
    """How many words the condition of an `if` takes."""
    bare = [bare.lower() for _, bare in words[:2]] + ["", ""]
    if bare[0] in _UNARY or bare[0].endswith("==") or (bare[1].startswith("==") and bare[1] != "=="):
        return 2
    return 3 if bare[1] in _COMPARISONS else 1
