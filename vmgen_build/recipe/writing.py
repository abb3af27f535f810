"""Values and names as they stand in a file, so that this reader and ConfigObj's read them back as they were meant.

ConfigObj takes an unquoted # as a comment wherever it stands, and splits lines where str.splitlines does
(https://configobj.readthedocs.io/en/latest/configobj.html#the-config-file-format).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vmgen_build.recipe.scanning import parse_items

_QUOTES = ('"', "'")
_LONG_QUOTES = ("'''", '"""')

_NO_TEXT = re.compile("[\0\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")
"""Characters that end a line for some readers, and what UTF-8 has not."""

_MARKS = re.compile("[,#'\"\n]")


def meant_items(text: str, several: bool) -> tuple[str, ...]:
    """The items of a value. several: a comma separates them."""
    if not several or "\n" in text:
        return (text,) if text else ()
    items = parse_items(text)
    return () if items == ("",) and not text.endswith(",") else items


def written_value(text: str, several: bool, quote: str = "") -> str:
    """A value as it stands in a file, with LF for its line ends. quote: the one that is used where it can be.

    Raises ValueError, its text saying what the value holds that no file can; no message repeats it.
    """
    if _NO_TEXT.search(text):
        raise ValueError(
            "holds a character that no recipe can: a carriage return or another separator of lines, NUL, or what is no"
            " UTF-8; put it into a file, and name that"
        )
    items = meant_items(text, several)
    if items == (text,) or (len(items) == 1 and not text.endswith(",")):
        return _written_text(items[0], quote)
    if not items:
        return ""
    written = ", ".join(_written_item(item) for item in items)
    return written if len(items) > 1 else f"{written},"


def _written_text(text: str, quote: str) -> str:
    if not quote and _is_plain(text):
        return text
    if "\n" not in text:
        for each in (quote, *_QUOTES):
            if each and each not in text:
                return f"{each}{text}{each}"
    for each in _LONG_QUOTES:
        if each not in text and not text.endswith(each[0]):
            return f"{each}{text}{each}"
    raise ValueError("holds so many quotes that none can enclose it; put it into a file, and name that")


def _written_item(item: str) -> str:
    if item and _is_plain(item):
        return item
    for quote in _QUOTES:
        if quote not in item:
            return f"{quote}{item}{quote}"
    raise ValueError("is a list with an item that holds both kinds of quotes, which a recipe cannot")


def _is_plain(text: str) -> bool:
    return not _MARKS.search(text) and text.strip() == text


def written_key(name: str) -> str:
    """An option's name. Raises ValueError."""
    return _written_name(name, lambda: "=" not in name and name[0] not in "'\"[#")


def written_head(name: str, depth: int) -> str:
    """A section's head. Raises ValueError."""
    return "[" * depth + _written_name(name, lambda: not re.search("[][#'\"]", name)) + "]" * depth


def _written_name(name: str, plain: Callable[[], bool]) -> str:
    if "\n" in name or _NO_TEXT.search(name) or not name.strip():
        raise ValueError("is no name for a section or an option of a file")
    if name.strip() == name and plain():
        return name
    for quote in _QUOTES:
        if quote not in name:
            return f"{quote}{name}{quote}"
    raise ValueError("is a name with both kinds of quotes, which no file can hold")
