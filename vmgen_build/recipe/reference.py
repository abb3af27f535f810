"""The reference of every option, made from the section classes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.recipe.schema import Free, Option, Section, first_line, recipe_sections, spec

_NAME = "NAME"
"""Stands for a section's name that the user chooses."""


@dataclass(frozen=True, slots=True)
class OptionDoc:
    """An option of the recipe, in words.

    section: path of names, NAME where the user chooses one ("network.eths.NAME"). takes: what it may hold.
    default: as it would be written, "" for none. free: it may also be a subsection of any keys.
    """

    section: str
    name: str
    takes: str
    default: str
    required: bool
    doc: str
    example: str
    free: bool = False

    @property
    def path(self) -> str:
        """As --set takes it."""
        return f"{self.section}.{self.name}"


@dataclass(frozen=True, slots=True)
class SectionDoc:
    """path: as in OptionDoc. doc: what it is. programs: whether it takes programs by name too."""

    path: tuple[str, ...]
    doc: str
    programs: bool
    options: tuple[OptionDoc, ...]

    @property
    def head(self) -> str:
        """As it stands in a file: "[network] [[eths]] [[[NAME]]]"."""
        return " ".join("[" * depth + name + "]" * depth for depth, name in enumerate(self.path, 1))


def sections() -> list[SectionDoc]:
    return [
        doc
        for name, registered in recipe_sections().items()
        for doc in _walk(registered.cls, (name,), first_line(registered.cls), registered.programs)
    ]


def options() -> list[OptionDoc]:
    return [option for section in sections() for option in section.options]


def _walk(cls: type[Section], path: tuple[str, ...], doc: str, programs: bool = False) -> Iterator[SectionDoc]:
    table = spec(cls)
    found = [_option(option, path) for _, option in table.options.values()]
    found += [_free(name, free, path) for name, (_, free) in table.free.items()]
    yield SectionDoc(path, doc, programs, tuple(found))
    for name, (_, nested) in table.named.items():
        yield from _walk(nested.cls, (*path, name, _NAME), nested.doc)


def _option(option: Option, path: tuple[str, ...]) -> OptionDoc:
    missing = option.required or option.default in (None, (), "")
    default = "" if missing else option.type.show(option.default)
    return OptionDoc(
        ".".join(path), option.key, option.type.takes, default, option.required, option.doc, option.example
    )


def _free(name: str, free: Free, path: tuple[str, ...]) -> OptionDoc:
    return OptionDoc(".".join(path), name, free.type.takes, "", False, free.doc, "", free=True)


def as_text(width: int = 88) -> str:
    """For the terminal."""
    lines: list[str] = []
    for section in sections():
        lines += [section.head, *_wrapped(section.doc, "  ", width)]
        if section.programs:
            lines += _wrapped(_PROGRAMS, "  ", width)
        for option in section.options:
            lines += ["", f"  {option.name} = {option.example or _sample(option)}".rstrip()]
            lines += _wrapped(option.doc, "      ", width)
            lines += _wrapped(_facts(option), "      ", width)
        lines.append("")
    return "\n".join(lines)


def as_markdown() -> str:
    """For docs/reference.md."""
    lines = ["# Recipe reference", "", _INTRODUCTION.strip(), ""]
    for section in sections():
        lines += [f"## `{section.head}`", "", *([section.doc, ""] if section.doc else [])]
        if section.programs:
            lines += [_PROGRAMS, ""]
        lines += [line for option in section.options for line in _entry(option)]
        lines += [""] if section.options else []
    return "\n".join(lines)


_PROGRAMS = "Every other option is a program: 1 or yes asks for it, 0 or no does not, another value names the choice."

_INTRODUCTION = """
A recipe is an INI file. `[section]`, `[[subsection]]`, `[[[deeper]]]`: a bracket more for each level, any indentation.
`name = value`; lists are comma-separated; quotes (`'` or `"`) keep commas, `#` and outer spaces; `'''` or `\"\"\"` hold
values of several lines. `#` begins a comment at the start of a line, and in a value after a space. An empty value means
the default. Where a section's name is written NAME, choose any. `--set network.eths.eth0.address=192.168.1.23` sets one
option from the command line. Paths start from the folder of the file that names them.

`vmgen-build options --schema` prints the same as a JSON Schema, for programs that write recipes. `vmgen-build options
mac` finds an option by another word for it.

A size is a bare number of MB, or has a unit: K, M, G, T (powers of 1024). A password or hash may stand elsewhere:
`env:NAME` takes it from an environment variable, `file:PATH` from a file.
"""


def _sample(option: OptionDoc) -> str:
    return option.default or "…"


def _facts(option: OptionDoc, mark: str = "") -> str:
    """mark: stands around the words of a recipe."""
    facts = [f"Takes {option.takes}."]
    if option.required:
        facts.append("Required.")
    if option.default:
        facts.append(f"Default: {mark}{option.default}{mark}.")
    if option.free:
        facts.append(f"Or a section {mark}[[{option.name}]]{mark} of such values under any names.")
    return " ".join(facts)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _entry(option: OptionDoc) -> list[str]:
    """An option as an item of a list, in lines that a terminal shows whole."""
    example = f" Example: `{option.name} = {option.example}`." if option.example else ""
    text = f"**`{option.name}`**: {option.doc} {_facts(option, '`')}{example}"
    return textwrap.wrap(
        text, 118, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
