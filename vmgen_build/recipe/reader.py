"""Parsed sections to section objects: the generic half of loading, driven by the section classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vmgen_build.errors import Position
from vmgen_build.recipe.digest import ValuesDigest
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.problems import IGNORED, Problems, did_you_mean, nearest, place, plain, shown
from vmgen_build.recipe.schema import Free, Named, Option, Section, recipe_sections, spec
from vmgen_build.recipe.spans import Columns
from vmgen_build.recipe.types.base import Context, ItemError, Type

S = TypeVar("S", bound=Section)
Unknown = Callable[[Value], None]
"""Takes an option of a section that is not declared in its class."""

Path = tuple[str, ...]

_ITEMS = 1000
"""Items of a list whose places are kept."""


class Reader:
    """Reads sections, reporting every problem; a value that is wrong leaves its default (None where it has none).

    report_missing: false where parts of a file could not be read, so that what is missing may well be there.
    digest: over all values read so far.
    """

    def __init__(self, problems: Problems, context: Context, report_missing: bool = True) -> None:
        self.problems, self.context, self.report_missing = problems, context, report_missing
        self.digest = ValuesDigest()

    def read(self, cls: type[S], ini: IniSection, path: Path, unknown: Unknown | None = None) -> S:
        table = spec(cls)
        fields: dict[str, Any] = {}
        places: dict[str, Position] = {}
        faulty: set[str] = set()
        for key, (name, option) in table.options.items():
            good, fields[name] = self._option(ini, key, option, path)
            faulty |= set() if good else {name}
        for key, (name, nested) in table.named.items():
            fields[name] = self._named(ini, key, nested, path)
        for key, (name, many) in table.free.items():
            good, values = self._free(ini, key, many, path)
            faulty |= set() if good else {name}
            fields[name] = tuple(values)
            places |= {f"{name}={result}": where for result, where in values.items()}
        names = {key: name for group in (table.options, table.named, table.free) for key, (name, _) in group.items()}
        for key, name in names.items():
            found = ini.values.get(key) or ini.sections.get(key)
            if found is not None:
                places[key] = places[name] = found.where
            if isinstance(found, Value) and key in table.options:
                places |= {f"{name}={item}": found.item_where(i) for i, item in enumerate(found.items[:_ITEMS])}
        self._leftover(cls, ini, path, unknown)
        return cls(name=ini.name, where=ini.where, places=places, faulty=frozenset(faulty), **fields)

    def value(self, type_: Type[Any], value: Value, path: str) -> tuple[bool, Any]:
        """Whether the value could be read, and what it is."""
        try:
            result = type_.read(value, self.context)
        except ValueError as error:
            where = value.item_where(error.item) if isinstance(error, ItemError) else value.where
            self.problems.error(where, path, str(error), "value")
            return False, None
        finally:
            for text, code in self.context.warnings:
                self.problems.warn(value.where, path, text, code)
            self.context.warnings.clear()
        self.digest.add(path, value, result)
        return True, result

    def unknown_section(self, child: IniSection, path: Path, known: set[str]) -> None:
        self.problems.warn(
            child.where,
            place((*path, child.name)),
            lambda: f"is not a section of a recipe{IGNORED}{did_you_mean(child.name, known)}",
            "unknown-section",
        )

    def _option(self, ini: IniSection, key: str, option: Option, path: Path) -> tuple[bool, Any]:
        """Whether nothing is wrong with it, and its value."""
        value = ini.values.get(key)
        if value is None or (not value.text and not value.broken and not option.type.empty):
            if key in ini.sections:
                where = ini.sections[key].where
                self.problems.error(where, place((*path, key)), f"is an option; write {key} = value", "value")
            elif option.required and self.report_missing:
                what = "is missing" if value is None else "is empty"
                example = f"; write, for example, {key} = {option.example}" if option.example else f"; write {key} = …"
                self.problems.error(value.where if value else ini.where, place(path, key), what + example, "missing")
            elif not option.required:
                return True, option.default
            return False, option.default
        good, result = (False, None) if value.broken else self.value(option.type, value, place(path, key))
        return good, result if good else option.default

    def _named(self, ini: IniSection, key: str, nested: Named, path: Path) -> dict[str, Section]:
        if key in ini.values:
            text = f"is a section; write {_head(key, len(path) + 1)} on a line of its own"
            self.problems.error(ini.values[key].key_where, place(path, key), text, "value")
        container = ini.sections.get(key)
        if container is None:
            return {}
        inner = (*path, key)
        for value in container.values.values():
            head = _head("name", len(path) + 2)
            text = f"stands outside any section of {place(inner)}{IGNORED}; write {head} above it"
            self.problems.warn(value.key_where, place(inner, value.key), text, "unknown-option")
        result = {}
        for name, child in container.sections.items():
            if nested.names is not None:
                at = Columns(child.where.column, child.where.end)
                named = Value("", name, (name,), child.file, child.line, columns=at)
                self.value(nested.names, named, place((*inner, name)))
            result[name] = self.read(nested.cls, child, (*inner, name))
        return result

    def _free(self, ini: IniSection, key: str, many: Free, path: Path) -> tuple[bool, dict[Any, Position]]:
        """Whether nothing is wrong with any, and where each value stands."""
        found: dict[Any, Position] = {}
        all_good = True
        for where, value in self._free_values(ini, key, many, path):
            if not value.text and value.columns.start:
                self.problems.error(
                    value.where, where, "an item of the list is empty; take the extra comma out", "value"
                )
                all_good = False
                continue
            good, result = (False, None) if value.broken else self.value(many.type, value, where)
            all_good = all_good and good
            if good and result is not None:
                found.setdefault(result, value.where)
        return all_good, found

    def _free_values(self, ini: IniSection, key: str, many: Free, path: Path) -> Iterator[tuple[str, Value]]:
        if key in ini.values:
            value = ini.values[key]
            for part in [value] if value.broken else many.type.split(value):
                yield place(path, key), part
        container = ini.sections.get(key)
        if container is None:
            return
        for child in container.sections.values():
            self.unknown_section(child, (*path, key), set())
        for value in container.values.values():
            if value.text or value.broken:
                yield place((*path, key), value.key), value

    def _leftover(self, cls: type[Section], ini: IniSection, path: Path, unknown: Unknown | None) -> None:
        table = spec(cls)
        known = table.option_names() | table.sections()
        for value in ini.values.values():
            if value.key not in known:
                if unknown is not None:
                    unknown(value)
                else:
                    self._unknown_option(value, path, known)
        sections = table.sections()
        for child in ini.sections.values():
            if child.name not in known:
                self.unknown_section(child, path, sections)

    def _unknown_option(self, value: Value, path: Path, known: set[str]) -> None:
        self.problems.warn(
            value.key_where,
            place(path, value.key),
            lambda: f"is not an option{IGNORED}{_hint(value.key, path, known)}",
            "unknown-option",
        )


def _hint(key: str, path: Path, known: set[str]) -> str:
    """What an unknown option is likely to mean: one of its section, or one that stands in another."""
    if nearest(key, known):
        return did_you_mean(key, known)
    for name, registered in recipe_sections().items():
        if key in spec(registered.cls).option_names() and path != (name,):
            return f"; {shown(key)} stands in [{name}]"
    return ""


def _head(name: str, depth: int) -> str:
    return f"{'[' * depth}{plain(name)}{']' * depth}"
