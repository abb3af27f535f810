"""Paths of options as people write them: network.eths.eth0.address. A name with a dot, =, @, a blank or a hyphen at its
end stands in double quotes: config.files."motd.txt".source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vmgen_build.errors import UsageError
from vmgen_build.limits import RECIPE_DEPTH
from vmgen_build.recipe.problems import plain, shown

_NAME = re.compile(r'"([^"]*)"|([^".=@]+)')
_BARE = re.compile(r'[^".=@\s]*[^".=@\s-]')


def read_path(text: str) -> tuple[tuple[str, ...], str]:
    """The names of the path that a text begins with, and what follows it: "", "-", "=VALUE" or "@FILE".

    Raises UsageError.
    """
    names: list[str] = []
    pos = 0
    while match := _NAME.match(text, pos):
        pos = match.end()
        bare = (match[2] or "").strip()
        ends = bare and (pos == len(text)) and bare.endswith("-")
        name = match[1] or (bare[:-1] if ends else bare)
        if not name:
            break
        names.append(name)
        if ends or text[pos : pos + 1] != ".":
            return _checked(names), "-" if ends else _rest(text, pos)
        pos += 1
    raise UsageError(f"{shown(_path_of(text))} is no path of a recipe; write SECTION.OPTION, as in network.gateway")


def _rest(text: str, pos: int) -> str:
    """What follows a path that ends there. Blanks before an = set it apart, and so do those after it."""
    rest = text[pos:]
    return f"={rest[1:].strip()}" if rest[:1] == "=" and text[pos - 1].isspace() else rest


def _checked(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > RECIPE_DEPTH.amount + 1:
        raise UsageError(f"{written_path(names)} is too deep: {RECIPE_DEPTH.exceeded}")
    return tuple(names)


def _path_of(text: str) -> str:
    """The argument without a value, which may be a secret."""
    return re.split("[=@]", text, maxsplit=1)[0]


def written_path(names: Sequence[str]) -> str:
    """As `read_path` reads it; control characters are shown escaped."""
    return ".".join(plain(name, 200) if _BARE.fullmatch(name) else f'"{plain(name, 200)}"' for name in names)
