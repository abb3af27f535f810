"""What may stand where in a recipe: the section classes as a tree, walked by the names of a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from vmgen_build.recipe.dotted import written_path
from vmgen_build.recipe.problems import nearest
from vmgen_build.recipe.schema import Free, Option, Section, first_line, recipe_sections, spec
from vmgen_build.recipe.types.base import Type


@dataclass(frozen=True, slots=True)
class Leaf:
    """An option. type: None for a program. several: its value is a list. default: as it would be written.

    also: other words that people look for it by.
    """

    type: Type[Any] | None = None
    several: bool = False
    default: str = ""
    doc: str = ""
    example: str = ""
    required: bool = False
    also: tuple[str, ...] = ()

    @property
    def private(self) -> bool:
        return self.type is not None and self.type.private

    @property
    def choices(self) -> tuple[str, ...]:
        return self.type.choices if self.type else ("1", "0")


@dataclass(frozen=True, slots=True)
class Level:
    """A section. sections: in the reference's order. other_option, other_section: what any further name means."""

    options: Mapping[str, Leaf] = field(default_factory=dict)
    sections: Mapping[str, Level] = field(default_factory=dict)
    other_option: Leaf | None = None
    other_section: Level | None = None
    doc: str = ""
    also: tuple[str, ...] = ()

    def option(self, name: str) -> Leaf | None:
        return self.options.get(name) or (None if name in self.sections else self.other_option)

    def section(self, name: str) -> Level | None:
        return self.sections.get(name) or self.other_section


@cache
def top() -> Level:
    """The recipe as a whole. Raises PluginError."""
    return Level(sections={name: _of_class(r.cls, r.programs) for name, r in recipe_sections().items()})


def level_of(names: Sequence[str]) -> Level | None:
    """The section of a path; None where no recipe has it."""
    level: Level | None = top()
    for name in names:
        level = level.section(name) if level else None
    return level


def leaf_of(names: Sequence[str]) -> Leaf | None:
    """The option of a path; None where no recipe has it."""
    level = level_of(names[:-1])
    return level.option(names[-1]) if level else None


def is_several(names: Sequence[str]) -> bool:
    """Whether a comma separates items in the option of a path; in what nobody knows it does."""
    leaf = leaf_of(names)
    return leaf is None or leaf.several


def nearest_path(names: Sequence[str]) -> str:
    """The path that one which no recipe has is likely to mean; "" where none is near."""
    level = top()
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if last and (name in level.options or level.section(name) or _is_free(level)):
            return ""
        below = None if last else level.section(name)
        if below is None:
            known = [*level.options, *level.sections] if last else list(level.sections)
            near = nearest(name, known)
            return written_path([*names[:index], near, *names[index + 1 :]]) if near else _elsewhere(names[-1])
        level = below
    return ""


def _is_free(level: Level) -> bool:
    """Whether options of any name stand there, other than programs."""
    return level.other_option is not None and level.other_option.type is not None


@cache
def private_names() -> frozenset[str]:
    """Of all options that hold a secret."""
    return frozenset(name for _, level in _levels() for name, leaf in level.options.items() if leaf.private)


def _levels() -> Iterator[tuple[tuple[str, ...], Level]]:
    """All sections, the outer ones first, each with its path."""
    todo: list[tuple[tuple[str, ...], Level]] = [((), top())]
    while todo:
        path, level = todo.pop(0)
        yield path, level
        todo += [((*path, below), child) for below, child in level.sections.items()]
        if level.other_section:
            todo.append(((*path, "NAME"), level.other_section))


def _elsewhere(name: str) -> str:
    """The option of that name that stands in another section: the first of the reference."""
    return next((written_path([*path, name]) for path, level in _levels() if name in level.options), "")


def _of_class(cls: type[Section], programs: bool = False) -> Level:
    table = spec(cls)
    frees = {key: free for key, (_, free) in table.free.items()}
    options = {key: _of_option(option) for key, (_, option) in table.options.items()}
    nested = {
        key: Level(other_section=_of_class(n.cls), doc=n.doc, also=_words(n.also))
        for key, (_, n) in table.named.items()
    }
    order = [f.name for f in fields(cls) if f.name in nested or f.name in frees]
    return Level(
        options=options | {key: _of_list(free) for key, free in frees.items()},
        sections={name: nested.get(name) or _of_free(frees[name]) for name in order},
        other_option=Leaf() if programs else None,
        doc=first_line(cls),
    )


def _of_option(option: Option) -> Leaf:
    shown = "" if option.required or option.default in (None, (), "") else option.type.show(option.default)
    several = option.default == ()
    also = _words(option.also)
    return Leaf(option.type, several, shown, option.doc, option.example, option.required, also)


def _of_list(free: Free) -> Leaf:
    """As one option. A type that splits its values by itself is read from the whole text."""
    return Leaf(free.type, free.type.split is Type.split, doc=free.doc, also=_words(free.also))


def _of_free(free: Free) -> Level:
    return Level(other_option=Leaf(free.type, doc=free.doc), doc=free.doc, also=_words(free.also))


def _words(also: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in also.split(",") if word.strip())
