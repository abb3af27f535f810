"""A recipe's file that is changed: what may be written into it, and how."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import Problem, RecipeError, UsageError
from vmgen_build.host.rewrite import Original, rewriting
from vmgen_build.limits import RECIPE
from vmgen_build.recipe.edit import Change, edited, find, read_document
from vmgen_build.recipe.outline import leaf_of, level_of, nearest_path
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.source import opening, text_of

Check = Callable[[str], Sequence[Problem]]
"""What is wrong with a recipe whose file holds this text."""

_MARK = "\ufeff"


class Refused(RecipeError):
    """The change would make a recipe wrong. Nothing is written."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """file: as messages name it."""

    file: str
    original: Original
    text: str

    def edited(self, changes: Sequence[Change], force: bool) -> str:
        """Its text with these changes. force: paths that no recipe has are taken too. Raises as edit.edited does."""
        if not force:
            root = read_document(self.text, self.file).root
            for change in changes:
                if change.value is not None and find(root, change.names) is None:
                    _check_path(change)
        return edited(self.text, self.file, changes)

    def write(self, text: str, backup: str = "") -> None:
        """Put it in place of the old one. backup: a suffix of the name that the old one is kept under.

        Raises HostError; RecipeError where it is too large for a recipe.
        """
        data = text.encode()
        text_of(data, self.file)
        self.original.check()
        if backup:
            self.original.keep_as(self.original.path.with_name(self.original.path.name + backup))
        self.original.replace((_MARK.encode() if self._is_marked else b"") + data)

    @property
    def _is_marked(self) -> bool:
        return self.original.data.startswith(_MARK.encode())


@contextmanager
def recipe_file(path: Path) -> Iterator[RecipeFile]:
    """The file, which nobody else changes by this tool meanwhile. Raises RecipeError, HostError."""
    file = str(path)
    with ExitStack() as stack:
        with opening(file):
            original = stack.enter_context(rewriting(path, RECIPE.amount))
        yield RecipeFile(file, original, text_of(original.data, file))


def _check_path(change: Change) -> None:
    """Raises UsageError for the path of an option that no recipe has."""
    if leaf_of(change.names) is not None:
        return
    if level_of(change.names) is not None:
        raise UsageError(f"{change.path} is a section; set an option in it, as in {change.path}.NAME=VALUE")
    near = nearest_path(change.names)
    hint = f"did you mean {near}?" if near else "'vmgen-build options' lists all"
    raise UsageError(f"{change.path} is no option of a recipe; {hint} (--force writes it all the same)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """warnings: of the options that were changed. before: how many mistakes the recipe had already, and still has."""

    warnings: tuple[Problem, ...]
    before: int


def judge(old: str, new: str, changes: Iterable[Change], check: Check) -> Verdict:
    """Raises Refused with the mistakes that the new text has and the old one has not."""
    found = check(new)
    errors = [problem for problem in found if problem.severity == "error"]
    known = Counter(map(_kind, check(old))) if errors else Counter()
    fresh = []
    for problem in errors:
        if known[_kind(problem)]:
            known[_kind(problem)] -= 1
        else:
            fresh.append(problem)
    if fresh:
        raise Refused(fresh)
    places = {place(change.names[:-1], change.names[-1]) for change in changes}
    return Verdict(tuple(p for p in found if p.severity != "error" and p.path in places), len(errors))


def _kind(problem: Problem) -> tuple[str, str]:
    """What a mistake is, wherever it stands: lines move."""
    return problem.path, re.sub(r"\bline \d+", "line", problem.text)
