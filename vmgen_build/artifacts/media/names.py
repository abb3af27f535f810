"""Names of files on media that Windows reads: "Naming Files, Paths, and Namespaces",
https://learn.microsoft.com/windows/win32/fileio/naming-a-file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from vmgen_build.errors import BuildError

Wrong = Callable[[str], str]
"""Why one part of a path cannot stand on a medium, after the name in a message; "" where it can."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"\\|?*]')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))})


def require_names(names: Iterable[str], medium: str, wrong: Wrong) -> list[str]:
    """The folders that files of these names lie in, each before what it holds. medium: "a floppy". names: paths with /
    between their parts. Raises BuildError."""
    spelled: dict[str, str] = {}
    folders: dict[str, None] = {}
    files = sorted(names)
    for name in files:
        parts = name.split("/")
        for part in parts:
            if reason := _wrong_on_windows(part) or wrong(part):
                raise BuildError(f"'{name}' cannot be put on {medium}: '{part}' {reason}; give it another name")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        for path in (*above, name):
            if spelled.setdefault(path.casefold(), path) != path:
                other = spelled[path.casefold()]
                raise BuildError(f"'{path}' and '{other}' are one name to Windows; give one of them another")
        folders.update(dict.fromkeys(above))
    if both := folders.keys() & set(files):
        raise BuildError(f"'{min(both)}' is a file and a folder; give one of them another name")
    return sorted(folders)


def _wrong_on_windows(part: str) -> str:
    if part in ("", ".", ".."):
        return "is no name of a file"
    if found := _FORBIDDEN.search(part):
        return f"holds {found[0]!r}, which no name of Windows does"
    if part[-1] in ". ":
        return "ends in a dot or a blank, which Windows takes away"
    return "is the name of a device" if part.partition(".")[0].casefold() in _DEVICES else ""
