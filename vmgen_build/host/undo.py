"""Undoing whose own failure stands beside the first error, and does not hide it."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from vmgen_build.errors import VmgenError


class Undo(ExitStack):
    """An ExitStack. Where its body failed and undoing fails too, the body's error is raised, and names what failed.

    An interrupted body, or one that ended well, raises what undoing raised.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool:
        try:
            return bool(super().__exit__(kind, error, trace))
        except Exception as failure:
            if not isinstance(error, Exception) or _comes_from(failure, error):
                raise
            for each in _chain(failure, error):
                add_failure(error, each)
            return False


def add_failure(error: BaseException, failure: BaseException) -> None:
    """Remember with the error that undoing failed too."""
    if isinstance(error, VmgenError):
        error.not_undone = (*error.not_undone, str(failure) or type(failure).__name__)
    else:  # what BaseException.add_note of Python 3.11 does
        vars(error).setdefault("__notes__", []).append(f"and undoing failed: {failure}")


def failures(error: BaseException) -> tuple[str, ...]:
    """What `add_failure` remembered with it."""
    return error.not_undone if isinstance(error, VmgenError) else tuple(getattr(error, "__notes__", ()))


def _comes_from(failure: BaseException, error: BaseException) -> bool:
    """Whether it is the same error in other words: raise ... from."""
    cause: BaseException | None = failure
    while cause is not None and cause is not error:
        cause = cause.__cause__
    return cause is error


def _chain(failure: BaseException, error: BaseException) -> list[BaseException]:
    """What failed one after the other, first to last, each in its last words."""
    found: list[BaseException] = []
    each: BaseException | None = failure
    while each is not None and each is not error and each not in found:
        found.append(each)
        while each.__cause__ is not None:
            each = each.__cause__
        each = each.__context__
    return found[::-1]
