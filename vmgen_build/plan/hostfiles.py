"""Reading the files of the host that a recipe names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.errors import Position, Problem, RecipeError


@contextmanager
def reading(path: Path, where: Position, option: str) -> Iterator[None]:
    """What goes wrong inside becomes a RecipeError at the option that names the file."""
    try:
        yield
    except OSError as error:
        text = f"'{path}' cannot be read: {error.strerror}; check the path and its permissions"
        raise RecipeError([Problem(where, option, text, code="unreadable-file")]) from error
