"""Values in batch files of Windows: cmd.exe reads each back as one argument, one variable's value, one text of echo.

cmd.exe puts in what stands between percent signs, then takes quotes and carets, and hands the rest of the line to the
program as it stands. The program's C library cuts that into arguments ("Parsing C command-line arguments" of
Microsoft's C++ documentation). So a value is quoted for the C library first and for cmd.exe then. Scripts run with
delayed expansion off.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vmgen_build.plan.text.quote import Dialect, Trusted, shown

LONGEST_LINE = 8191
"""Characters of a line that cmd.exe reads (Windows XP and later, "Command prompt line string limitation")."""

LONGEST_INPUT = 1021
"""Characters that `set /p` takes from a file."""

_PLAIN = re.compile(r"(?!.*\\\Z)[A-Za-z0-9_./:\\=-]+")
_BARE = re.compile(r"[A-Za-z0-9_.:-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BEFORE_QUOTE = re.compile(r'(\\*)"')
_LAST_BACKSLASHES = re.compile(r"(\\+)\Z")
_CARETED = re.compile(r'["^&|<>()!]')


def batch_word(text: str) -> str:
    """One argument of a program (.exe), in a line of a batch file.

    Raises ValueError for what batch cannot carry: control characters, and all that is not ASCII. Not for `call` and
    batch files, which read a line twice.
    """
    refuse_unsayable(text)
    if _PLAIN.fullmatch(text):
        return text
    word = _percents(_for_c_library(text))
    return _CARETED.sub(r"^\g<0>", word) if '"' in text else word


def argument(text: str) -> str:
    """What a file must hold so that `set /p NAME=<file` and then %NAME% give one argument of a program.

    Raises ValueError for a double quote too: cmd.exe would take what follows it for its own.
    """
    _refuse_quote(text)
    word = text if _PLAIN.fullmatch(text) else _for_c_library(text)
    if len(word) > LONGEST_INPUT:
        raise ValueError(f"{shown(text)} is too long: a variable takes {LONGEST_INPUT} characters; make it shorter")
    return word


def assigned(name: str, text: str) -> Trusted:
    """The line that gives a variable its value."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name for a variable; take letters, digits and _")
    _refuse_quote(text)
    return Trusted(f'set "{name}={_percents(text)}"')


def echoed(text: str) -> Trusted:
    """A text behind `echo`, which shows it as it stands."""
    refuse_unsayable(text)
    return Trusted(_CARETED.sub(r"^\g<0>", _percents(text)))


def quoted(text: str) -> Trusted:
    """A word in double quotes for a command of cmd.exe itself, such as `if` or `for`."""
    _refuse_quote(text)
    return Trusted(f'"{_percents(text)}"')


def called(text: str) -> Trusted:
    """A word behind `call`, which reads its line twice: it puts in variables again, and doubles carets in quotes."""
    _refuse_quote(text)
    if "^" in text or "%" in text:
        raise ValueError(f"{shown(text)} holds a ^ or a %, which call reads twice; remove it")
    return Trusted(f'"{text}"')


def plain(text: str) -> Trusted:
    """A value that means the same everywhere, quoted or not: letters, digits and _ . : - only."""
    if not _BARE.fullmatch(text):
        raise ValueError(f"{shown(text)} may hold letters, digits and _ . : - only, where it goes; change it")
    return Trusted(text)


def refuse_unsayable(text: str) -> None:
    """Raise ValueError for text that no line of a batch file holds."""
    if not text.isascii():
        why = "is not ASCII, and batch files are read in the OEM code page"
        raise ValueError(f"{shown(text)} {why}; write it in ASCII letters")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} holds a control character, which a batch file cannot carry; remove it")


def _refuse_quote(text: str) -> None:
    refuse_unsayable(text)
    if '"' in text:
        raise ValueError(f"{shown(text)} holds a double quote, which cannot stand there in a batch file; remove it")


def _for_c_library(text: str) -> str:
    """In double quotes: backslashes before a double quote are doubled, and it gets one of its own."""
    escaped = _BEFORE_QUOTE.sub(r'\1\1\\"', text)
    ended = _LAST_BACKSLASHES.sub(r"\1\1", escaped)
    return f'"{ended}"'


def _percents(text: str) -> str:
    return text.replace("%", "%%")


def _assigned_filter(value: object, name: str) -> Trusted:
    return assigned(name, _scalar(value))


def _filter(change: Callable[[str], Trusted]) -> Callable[[object], Trusted]:
    return lambda value: change(_scalar(value))


def _scalar(value: object) -> str:
    """The text of a value before it is quoted; TypeError for what is no value (None, a Secret)."""
    if isinstance(value, list | tuple):
        raise TypeError("a list is no single value; write a line for each of its items")
    return _RAW.quote(value)


_RAW = Dialect("raw", lambda text: text)

BATCH = Dialect(
    "batch",
    batch_word,
    newline="\r\n",
    guarded=True,
    filters={
        "assigned": _assigned_filter,
        "echoed": _filter(echoed),
        "quoted": _filter(quoted),
        "called": _filter(called),
        "plain": _filter(plain),
    },
)
