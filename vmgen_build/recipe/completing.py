"""What a shell completes of a path: names that a recipe can have or the file has, and values of a few words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vmgen_build.errors import UsageError, VmgenError
from vmgen_build.recipe.dotted import read_path, written_path
from vmgen_build.recipe.edit import find, read_document
from vmgen_build.recipe.ini import IniSection
from vmgen_build.recipe.outline import Level, leaf_of, level_of
from vmgen_build.recipe.shipped import profile_names
from vmgen_build.recipe.source import read_text


class Candidate(NamedTuple):
    """text: of the whole argument; it ends in a dot where names follow, so no blank may follow it. about: in a line."""

    text: str
    about: str = ""


def complete_path(incomplete: str, recipe: Path | None = None) -> list[Candidate]:
    """What PATH or PATH=VALUE may go on as. recipe: the file whose own names are offered too; none may be there."""
    root = _root(recipe)
    path, equals, typed = incomplete.partition("=")
    if equals:
        return [Candidate(f"{path}={word}") for word in _values(_names(path)) if word.startswith(typed)]
    head, dot, _ = incomplete.rpartition(".")
    found = _below(_names(head), root) if dot else _below((), root)
    return [each for each in found if each.text.startswith(incomplete)]


def _names(path: str) -> tuple[str, ...]:
    try:
        return read_path(path)[0]
    except UsageError:
        return ()


def _root(recipe: Path | None) -> IniSection:
    """Of the file, empty where it cannot be read."""
    if recipe is not None:
        try:
            return read_document(read_text(recipe, str(recipe)), str(recipe)).root
        except VmgenError:
            pass
    return IniSection("", 0, "", 0)


def _below(names: tuple[str, ...], root: IniSection) -> Iterator[Candidate]:
    level = level_of(names) or Level()
    there = find(root, names) if names else root
    section = there if isinstance(there, IniSection) else IniSection("", 0, "", 0)
    for name in dict.fromkeys([*level.sections, *section.sections]):
        known = level.section(name)
        yield Candidate(written_path((*names, name)) + ".", known.doc if known else "")
    for name in dict.fromkeys([*level.options, *_programs(names, level), *section.values]):
        leaf = level.option(name)
        yield Candidate(written_path((*names, name)), leaf.doc if leaf else "")


def _programs(names: tuple[str, ...], level: Level) -> Iterable[str]:
    """Of a section that takes them."""
    if level.other_option is None or level.other_option.type is not None:
        return ()
    from vmgen_build.catalogue.catalogue import known_programs

    return sorted(entry.name for entry in known_programs().entries.values() if entry.category == names[0])


def _values(names: tuple[str, ...]) -> Iterable[str]:
    if names == ("hardware", "os"):
        from vmgen_build.systems.parse import known_systems

        return known_systems()
    if names == ("config", "profiles"):
        return profile_names()
    if names in (("config", "timezone"), ("config", "locale")):
        from vmgen_build.catalogue.regions import known_locales, known_zones

        return sorted(known_zones() if names[-1] == "timezone" else known_locales())
    leaf = leaf_of(names) if names else None
    return leaf.choices if leaf else ()
