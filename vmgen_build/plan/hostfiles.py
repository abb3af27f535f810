"""Reading the files of the host that a recipe names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.errors import Position, Problem, RecipeError

BLOCK = 1 << 20


@contextmanager
def reading(path: Path, where: Position, option: str) -> Iterator[None]:
    """What goes wrong inside becomes a RecipeError at the option that names the file."""
    try:
        yield
    except OSError as error:
        text = f"'{path}' cannot be read: {error.strerror}; check the path and its permissions"
        raise RecipeError([Problem(where, option, text, code="unreadable-file")]) from error


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
