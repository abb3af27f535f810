"""Parsed sections as a tree: merging one under another, setting single options."""

from __future__ import annotations

import re

from vmgen_build.errors import Position
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.problems import Problems, plain, shown
from vmgen_build.recipe.scanning import parse_items


def merge_under(upper: IniSection, lower: IniSection) -> None:
    """Take into `upper` what `lower` has beside it, option by option, in place; `upper` wins, `lower` comes first."""
    todo = [(upper, lower)]
    while todo:
        high, low = todo.pop()
        own = high.values.keys() | high.sections.keys()
        values = {key: value for key, value in low.values.items() if key not in own}
        shared = [name for name in low.sections if name in high.sections]
        sections = {name: high.sections.get(name, section) for name, section in low.sections.items()}
        for name in list(sections):
            if name in high.values:
                del sections[name]
        high.values = values | high.values
        high.sections = sections | high.sections
        todo += [(high.sections[name], low.sections[name]) for name in shared]


_PART = re.compile(r'"([^"]*)"|([^".]+)')


def set_option(root: IniSection, setting: str, problems: Problems) -> None:
    """Apply `PATH=VALUE`, PATH as network.eths.eth0.address (a name with dots in double quotes), in place.

    The value is taken as it stands: quotes and # are data.
    """
    path, equals, text = setting.partition("=")
    where = Position(f"--set {plain(path.strip())}", 0)
    names = _split(path.strip())
    if not equals:
        problems.error(where, "", "there is no '='; write --set SECTION.OPTION=VALUE", "set")
    elif names is None or len(names) < 2:
        problems.error(where, "", f"{shown(path)} names no option; write --set SECTION.OPTION=VALUE", "set")
    else:
        _put(root, names, Value(names[-1], text, _items(text), where.file, 0, quoted=False), problems)


def _items(text: str) -> tuple[str, ...]:
    return parse_items(text) if text else ()


def _split(path: str) -> list[str] | None:
    names, pos = [], 0
    while match := _PART.match(path, pos):
        names.append(match[1] or match[2] or "")
        pos = match.end() + 1
        if match.end() == len(path):
            return names if all(names) else None
        if path[match.end()] != ".":
            return None
    return None


def _put(root: IniSection, names: list[str], value: Value, problems: Problems) -> None:
    section = root
    for name in names[:-1]:
        if name in section.values:
            problems.error(value.where, "", f"'{plain(name)}' is an option, which holds no others", "set")
            return
        if name not in section.sections:
            section.sections[name] = IniSection(name, section.depth + 1, value.file, 0)
        section = section.sections[name]
    section.sections.pop(names[-1], None)
    section.values[names[-1]] = value
