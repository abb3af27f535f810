"""Text, numbers, sizes, words."""

from __future__ import annotations

import re
from dataclasses import replace

from vmgen_build.filenames import NAME_BYTES, PLAIN, wrong_file_name
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, list_of, of_text, without_control

TRUE = frozenset({"1", "yes", "true", "on"})
FALSE = frozenset({"0", "no", "false", "off"})

text = of_text("text of one line")(without_control)


@of_text("text, of several lines between triple quotes")
def text_lines(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, which no text can; leave it out")
    return value


def _boolean(value: str) -> bool:
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ValueError(f"{shown(value)} is neither yes nor no; write yes (1, true, on) or no (0, false, off)")


SPELLINGS = ("1", "0", "true", "false", "on", "off")
"""Of yes and no, besides."""

boolean = replace(of_text("yes or no")(_boolean), choices=("yes", "no"), spellings=SPELLINGS)


def integer(low: int, high: int) -> Type[int]:
    """A whole number within bounds, both included."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", value):
            raise ValueError(f"{shown(value)} is not a whole number; give one from {low} to {high}")
        # int() refuses thousands of digits.
        if len(value) > 20 or not low <= int(value) <= high:
            raise ValueError(f"{shown(value)} is out of range; give a number from {low} to {high}")
        return int(value)

    return replace(of_text(f"a whole number from {low} to {high}")(read), pattern="[+-]?[0-9]+")


_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_BYTES = re.compile(r"([0-9]{1,15})\s*B", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
LARGEST = 2**60
"""No size is above an exbibyte."""


def parse_size(value: str) -> int:
    """Bytes. A bare number is MiB; all units are powers of 1024, whether written K, KB or KiB; B is bytes."""
    if match := _BYTES.fullmatch(value):
        unit = 1
    elif match := _SIZE.fullmatch(value):
        unit = 1 << 10 * _POWERS[match[2].upper() or "M"]
    else:
        raise ValueError(f"{shown(value)} is not a size; write a number of MB, or one with a unit: 512M, 8G, 1T")
    whole, _, part = match[1].partition(".")
    parts: int = 10 ** len(part)
    size, rest = divmod(int(whole + part) * unit, parts)
    if rest:
        raise ValueError(f"{shown(value)} is no whole number of bytes; write it in a smaller unit")
    if not 0 < size <= LARGEST:
        raise ValueError(f"{shown(value)} is out of range; give a size above 0 and up to 1048576T")
    return size


def show_size(size: int | None) -> str:
    if size is None:
        return "rest"
    for unit in ("T", "G", "M", "K"):
        if size % 1024 ** _POWERS[unit] == 0:
            return f"{size // 1024 ** _POWERS[unit]}{unit}"
    return f"{size}B"


size = Type("a size: a number of MB, or with a unit (K, M, G, T)", lambda value, _: parse_size(value.text), show_size)


def _size_or_rest(value: Value, _: Context) -> int | None:
    return None if value.text.lower() == "rest" else parse_size(value.text)


size_or_rest = Type("a size (a bare number is MB), or rest", _size_or_rest, show_size)


def _words(value: Value, _: Context) -> tuple[str, ...]:
    return tuple(without_control(word) for item in value.items for word in item.split())


words = Type("words, separated by commas or spaces", _words)

paths = list_of("names or paths, comma-separated", without_control, unique=True)


@of_text("bus:unit")
def bus_position(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{1,2})", value)
    if not match:
        raise ValueError(f"{shown(value)} is not a position; write bus:unit, such as 0:0")
    return int(match[1]), int(match[2])


@of_text("a file's name")
def file_name(value: str) -> str:
    if "/" in value or "\\" in value or value in (".", ".."):
        raise ValueError(f"{shown(value)} is not a file's name; write it without a folder")
    return without_control(value)


@of_text(PLAIN)
def section_name(value: str) -> str:
    """The name of a section that becomes a file's name on this host and in the guest."""
    if wrong := wrong_file_name(value, NAME_BYTES):
        raise ValueError(f"{shown(value)} {wrong}; give the section {PLAIN}")
    return value


@of_text("letters, digits, dots, _ and -")
def device_name(value: str) -> str:
    """A disk's, a partition's or a drive's name, of which files on the way get theirs."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", value):
        raise ValueError(
            f"{shown(value)} cannot be the name of a disk, partition or drive; write up to 63 letters, digits, dots, _"
            " and -, beginning with a letter, digit or _"
        )
    return value


_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def _program_name(value: Value, _: Context) -> str | None:
    """`sshd` in a list, or `sshd = 1` (0: not) and `anything = sshd` in a section."""
    name = value.text
    if value.key and name.lower() in FALSE:
        return None
    if value.key and name.lower() in TRUE:
        name = value.key
    if not _PROGRAM.fullmatch(name):
        raise ValueError(f"{shown(name)} is not a program's name; `vmgen-build programs` lists those known")
    return name


program_name = Type("names of programs", _program_name)
