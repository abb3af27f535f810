"""A recipe's values one by one, by their paths, as --set and `options` name them: network.eths.eth0.address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.schema import Section, spec
from vmgen_build.secret import Secret
from vmgen_build.systems.model import System
from vmgen_build.text import without_passwords

Value = str | Secret


def flat(recipe: Recipe) -> dict[str, Value]:
    """What is set, and what has a default. A program stands under its section with its choice, or 1."""
    sections = {name: getattr(recipe, name) for name in ("hardware", "network", "users", "config")} | dict(
        recipe.others
    )
    found = {path: value for name, section in sections.items() for path, value in _values(name, section)}
    return found | {f"{wish.section}.{wish.name}": wish.choice or "1" for wish in recipe.wishes}


def _values(path: str, section: Section) -> Iterator[tuple[str, Value]]:
    declared = spec(type(section))
    for key, (field, _) in (*declared.options.items(), *declared.free.items()):
        value = getattr(section, field)
        if value is not None and value != ():
            yield f"{path}.{key}", _text(value)
    for key, (field, _) in declared.named.items():
        for name, inner in getattr(section, field).items():
            yield from _values(f"{path}.{key}.{name}", inner)


def _text(value: Any) -> Value:
    if isinstance(value, Secret):
        return value
    if isinstance(value, System):
        return f"{value.name}-{value.arch}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(str(_text(one)) for one in value)
    return without_passwords(str(value))
