"""What files of repositories, in a package manager's own form, say of where the repositories lie.

Formats: yum.conf(5), "[repository] OPTIONS"; pacman.conf(5), "REPOSITORY SECTIONS".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vmgen_build.host.regular import read_regular
from vmgen_build.limits import REPOSITORY_FILE
from vmgen_build.recipe.sections.config import Repository

_SECTION = re.compile(r"\[([^\]]+)\]\s*")


def text_of(repository: Repository) -> str:
    """Of its file; "" where it has none, or it cannot be read: the plan says so at its line."""
    if repository.file is None:
        return ""
    try:
        return read_regular(repository.file, REPOSITORY_FILE).decode(errors="replace")
    except OSError:
        return ""


def sections(text: str) -> list[tuple[str, Mapping[str, str]]]:
    """Name, and the first value of each option by its name in small letters. A value goes on in lines that begin with
    a blank."""
    found: list[tuple[str, dict[str, str]]] = []
    option = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if match := _SECTION.fullmatch(line):
            found.append((match[1], {}))
            option = ""
        elif found and line[0] in " \t" and option:
            found[-1][1][option] += f" {line.strip()}"
        elif found and "=" in line:
            name, _, value = line.partition("=")
            option = name.strip().lower()
            if option in found[-1][1]:
                option = ""
            else:
                found[-1][1][option] = value.strip()
    return [(name, options) for name, options in found if name not in ("main", "options")]


def filled(address: str, variables: Mapping[str, str]) -> str:
    """With variables of the package manager, as $name or ${name}; "" where one is not known."""
    for name, value in variables.items():
        address = address.replace(f"${name}", value).replace(f"${{{name}}}", value)
    return "" if "$" in address else address
