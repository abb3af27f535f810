"""The text of a recipe's file, or of one that it names, or one clear message why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import RECIPE, RECIPE_LINES


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, for messages. name: "a recipe"; least: what the smallest holds."""

    name: str
    least: str


A_RECIPE = Kind("a recipe", "a recipe has at least [hardware] with vm_id and os")
PROGRAMS = Kind("a file of programs", "a program is a section, [name], with packages = …")


def read_text(path: Path, file: str, kind: Kind = A_RECIPE) -> str:
    """The file's text without a byte order mark. `file` is how messages name it. Raises RecipeError."""
    with opening(file), open_regular(path) as stream:
        data = stream.read(RECIPE.amount + 1)
    return text_of(data, file, kind)


@contextmanager
def opening(file: str) -> Iterator[None]:
    """What goes wrong in the body is why a recipe's file cannot be read. Raises RecipeError."""
    try:
        yield
    except IsADirectoryError:
        raise _refused(file, "is a folder; name the recipe's file") from None
    except FileNotFoundError:
        raise _refused(file, "there is no such file; check its name") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name holds a NUL character"
        raise _refused(file, f"cannot be read: {reason}") from None


def text_of(data: bytes, file: str, kind: Kind = A_RECIPE) -> str:
    """The text of what a file holds, without a byte order mark. Raises RecipeError."""
    if len(data) > RECIPE.amount:
        raise _refused(file, f"is too large to be {kind.name}: {RECIPE.exceeded}")
    if data.count(b"\n") >= RECIPE_LINES.amount:
        raise _refused(file, f"has too many lines to be {kind.name}: {RECIPE_LINES.exceeded}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(file, "is UTF-16 text; save it as UTF-8")
    if (nul := data.find(b"\0")) >= 0:
        raise _refused(file, f"holds a NUL byte: it is binary; {kind.name} is plain text", _line(data, nul))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(
            file, f"is not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8", _line(data, error.start)
        ) from None
    if not text.strip():
        raise _refused(file, f"is empty; {kind.least}")
    return text


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def _refused(file: str, text: str, line: int = 0) -> RecipeError:
    return RecipeError([Problem(Position(file, line), "", text, code="file")])
