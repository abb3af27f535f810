"""What a type of option is: how its text is read, what it takes in words, and how its values are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from vmgen_build.host.environment import take
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import did_you_mean, shown
from vmgen_build.secret import Secret

T = TypeVar("T")


@dataclass
class Context:
    """What reading a value may need.

    folders: file as named in positions -> folder that its relative paths start from.
    variable: the value of an environment variable, for env:NAME; by default that of our own, which leaves it.
    exposed: files, as named in positions, that every user of this host can read; what finds a password in one takes it
    out, since it is reported once.
    warnings: (text, code) of what is odd but usable; whoever reads takes them out.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    variable: Callable[[str], Secret | None] = take
    exposed: set[str] = field(default_factory=set)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def path(self, value: Value, text: str) -> Path:
        """A path of the host that a recipe names: relative to the file that names it; ~ is the home directory."""
        folder = self.folders.get(value.file, Path())
        return folder / Path(text).expanduser() if text.startswith("~/") else folder / text


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class ItemError(ValueError):
    """One item of a list is wrong, by its index."""

    def __init__(self, text: str, item: int) -> None:
        super().__init__(text)
        self.item = item


def each(value: Value, one: Callable[[str], T]) -> list[T]:
    """What `one` makes of each item; raises ItemError for the first that it refuses."""
    found = []
    for number, item in enumerate(value.items):
        try:
            found.append(one(item))
        except ValueError as error:
            raise ItemError(str(error), number) from None
    return found


@dataclass(frozen=True)
class Type(Generic[T]):
    """A type of option.

    takes: for people ("a whole number from 1 to 768"). read: the value, or ValueError("what is wrong; what would be
    right"). empty: whether `read` wants to see an empty value; otherwise an empty one means the default. split: the
    values of one comma-separated option where any number of this type may stand (see schema.free). choices: the words
    that it takes, where these are all; spellings: further ones that mean the same. private: its values never show.
    pattern: what its text must match at least, as a regular expression of ECMA-262; "" for what has none.
    """

    takes: str
    read: Callable[[Value, Context], T]
    show: Callable[[T], str] = _show
    empty: bool = False
    split: Callable[[Value], Sequence[Value]] = Value.parts
    choices: tuple[str, ...] = ()
    private: bool = False
    spellings: tuple[str, ...] = ()
    pattern: str = ""


def of_text(takes: str) -> Callable[[Callable[[str], T]], Type[T]]:
    """Make a type of a function that needs the text alone."""

    def make(read: Callable[[str], T]) -> Type[T]:
        return Type(takes, lambda value, _: read(value.text))

    return make


def list_of(takes: str, one: Callable[[str], T], unique: bool = False) -> Type[tuple[T, ...]]:
    """A comma-separated list; unique: an item that comes twice counts once."""

    def read(value: Value, _: Context) -> tuple[T, ...]:
        if "" in value.items:
            text = "an item of the list is empty; take the extra comma out"
            raise ItemError(text, value.items.index(""))
        found = tuple(each(value, one))
        return tuple(dict.fromkeys(found)) if unique else found

    return Type(takes, read)


def choice(*allowed: str) -> Type[str]:
    """One of some words, in any case."""
    words = ", ".join(allowed)

    def read(text: str) -> str:
        if text.lower() in allowed:
            return text.lower()
        raise ValueError(f"{shown(text)} is none of {words}{did_you_mean(text, allowed)}")

    return replace(of_text(f"one of {words}")(read), choices=allowed)


def without_control(text: str, also: Iterable[str] = ()) -> str:
    """The text, which must be one line without control characters and without the characters of `also`."""
    for char in text:
        if char in also:
            raise ValueError(f"{shown(text)} holds {shown(char)}, which has a meaning of its own there; leave it out")
        if char in "\n\r":
            raise ValueError("is more than one line; write it in one")
        if ord(char) < 32 or 127 <= ord(char) < 160:
            raise ValueError(f"{shown(text)} holds a control character; leave it out")
    return text
