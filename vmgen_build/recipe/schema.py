"""Section classes: one declarative table drives parsing, checking, defaults and the reference.

A section is a frozen dataclass whose fields are declared by `option`, `named` and `free`; `recipe_section` makes it one
of the tool's own. A new section is a new module in recipe/sections/, or a class of others under an entry point of the
group vmgen_build.sections, by the section's name.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Any, TypeVar

from vmgen_build.errors import Position
from vmgen_build.plugins import Group
from vmgen_build.recipe.types.base import Type

NOWHERE = Position("", 0)


@dataclass(frozen=True, kw_only=True)
class Section:
    """name: the section's own name in the file. where: its head. places: field -> line of its value in the file, and
    "field=value" -> line of each value of a free field, and place of each item of a list as it is written.

    faulty: fields whose value could not be read; a problem has been reported, and a default or None stands in.
    """

    name: str = ""
    where: Position = NOWHERE
    places: Mapping[str, Position] = field(default_factory=dict, repr=False, compare=False)
    faulty: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def at(self, option: str, item: object = None) -> Position:
        """Where an option stands, or an item of its list; the section's head for one that is not in the file."""
        found = None if item is None else self.places.get(f"{option}={item}")
        return found or self.places.get(option, self.where)


@dataclass(frozen=True)
class Option:
    """key: the option's name in the file. required: it has no default. also: as in `option`."""

    type: Type[Any]
    key: str
    doc: str
    example: str
    required: bool
    default: Any
    also: str = ""


@dataclass(frozen=True)
class Named:
    """Subsections of one class by any name; `names` checks the names where they mean something."""

    cls: type[Section]
    doc: str
    names: Type[str] | None
    also: str = ""


@dataclass(frozen=True)
class Free:
    """Any number of values of one type: one comma-separated option, or a subsection of any keys."""

    type: Type[Any]
    doc: str
    also: str = ""


_KEY = "recipe"


def option(
    parse: Type[Any], *, default: Any = MISSING, key: str = "", doc: str, example: str = "", also: str = ""
) -> Any:
    """Declare an option; without a default it is required. key: its name in the file, where the field's differs.

    also: what people may look for it by, comma-separated: "mac, mac address"; no recipe can write it so.
    """
    required = default is MISSING
    declared = Option(parse, key, doc, example, required, None if required else default, also)
    return field(metadata={_KEY: declared}) if required else field(default=default, metadata={_KEY: declared})


def named(cls: type[Section], *, doc: str, names: Type[str] | None = None, also: str = "") -> Any:
    """Declare a subsection that holds any number of sections of a class: a dict by their names, in the file's order."""
    return field(default_factory=dict, metadata={_KEY: Named(cls, doc, names, also)})


def free(parse: Type[Any], *, doc: str, also: str = "") -> Any:
    """Declare values that stand in one option, comma-separated, or in a subsection under any keys: a tuple."""
    return field(default=(), metadata={_KEY: Free(parse, doc, also)})


@dataclass(frozen=True)
class Spec:
    """A section class by the names in the file: each maps to the field and what it was declared as."""

    options: Mapping[str, tuple[str, Option]]
    named: Mapping[str, tuple[str, Named]]
    free: Mapping[str, tuple[str, Free]]

    def sections(self) -> set[str]:
        return {*self.named, *self.free}

    def option_names(self) -> set[str]:
        return {*self.options, *self.free}


_SPECS: dict[type[Section], Spec] = {}


def spec(cls: type[Section]) -> Spec:
    """How a class was declared."""
    if cls not in _SPECS:
        _SPECS[cls] = _spec(cls)
    return _SPECS[cls]


def _spec(cls: type[Section]) -> Spec:
    options: dict[str, tuple[str, Option]] = {}
    nameds: dict[str, tuple[str, Named]] = {}
    frees: dict[str, tuple[str, Free]] = {}
    for f in dataclasses.fields(cls):
        match f.metadata.get(_KEY):
            case Option() as declared:
                key = declared.key or f.name
                options[key] = (f.name, dataclasses.replace(declared, key=key))
            case Named() as declared:
                nameds[f.name] = (f.name, declared)
            case Free() as declared:
                frees[f.name] = (f.name, declared)
    return Spec(options, nameds, frees)


def first_line(cls: type[Section]) -> str:
    """Of its docstring; "" where there is only the one that dataclass makes."""
    doc = (cls.__doc__ or "").strip().partition("\n")[0]
    return "" if doc.startswith(f"{cls.__name__}(") else doc


@dataclass(frozen=True)
class Registered:
    """programs: keys of the section that are no options name programs."""

    cls: type[Section]
    programs: bool


_REGISTRY: dict[str, Registered] = {}
S = TypeVar("S", bound=type[Section])


def recipe_section(name: str, programs: bool = False) -> Callable[[S], S]:
    """Make a class of a module of recipe/sections/ a section of recipes."""

    def register(cls: S) -> S:
        _REGISTRY[name] = Registered(cls, programs)
        return cls

    return register


def _is_section(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Section) and dataclasses.is_dataclass(thing)


GROUP: Group[type[Section]] = Group("vmgen_build.sections", "a dataclass that derives from Section", _is_section)

_USUAL = ("hardware", "network", "users", "config", "devel", "services", "gui")


def recipe_sections() -> Mapping[str, Registered]:
    """Every section that a recipe can have, in the order that people read them. Raises PluginError."""
    found = {name: Registered(cls, programs=False) for name, cls in GROUP.every().items()} | dict(_own())
    names = sorted(found, key=lambda name: (_USUAL.index(name) if name in _USUAL else len(_USUAL), name))
    return {name: found[name] for name in names}


@cache
def _own() -> Mapping[str, Registered]:
    from vmgen_build.recipe import sections

    for module in pkgutil.iter_modules(sections.__path__):
        importlib.import_module(f"{sections.__name__}.{module.name}")
    return _REGISTRY
