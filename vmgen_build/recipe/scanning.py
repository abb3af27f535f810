"""The text behind an option's `=`: its items, quotes and comment."""

from __future__ import annotations

import re
from typing import NamedTuple

from vmgen_build.recipe.spans import Span


def parse_items(text: str) -> tuple[str, ...]:
    """Split at commas outside quotes, as in a file but without comments; plainly where the quotes do not match."""
    scanned = scan(text.strip(), comments=False)
    return scanned.items if isinstance(scanned, Scanned) else tuple(part.strip() for part in text.split(","))


SPECIAL = re.compile("[,#'\"]")
"""What makes a value more than a plain text."""

# Where an item ends: unquoted, and by its quote; with comments as in a file, and without.
_ITEM_END = {True: re.compile(r",|\s#"), False: re.compile(",")}
_QUOTE_END = {
    (quote, comments): re.compile(quote + rf"\s*(?:(?=[{stop}])|\Z)")
    for quote in "'\""
    for comments, stop in ((True, ",#"), (False, ","))
}


class Scanned(NamedTuple):
    """spans: where each item stands in the text, with its quotes."""

    text: str
    items: tuple[str, ...]
    quoted: bool
    cut: str
    spans: tuple[Span, ...] = ()


def scan(raw: str, comments: bool = True) -> Scanned | str:
    """A value's parts, or what is wrong with it."""
    items: list[str] = []
    spans: list[Span] = []
    pos, end, only_quoted, comma = 0, len(raw), False, False
    cut = ""
    while pos < end:
        start = pos
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
        spans.append(Span(start, start + len(raw[start:pos].rstrip())))
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
    return Scanned(items[0] if only_quoted else whole, tuple(items), only_quoted, cut, tuple(spans))


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
