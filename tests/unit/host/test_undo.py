"""Issue 8, item 16: a cleanup error does not hide the first error."""

from __future__ import annotations

import pytest

from vmgen_build.errors import BuildError, HostError, StepFailed
from vmgen_build.host.undo import Undo


def fail(text: str) -> None:
    raise HostError(text)


def test_issue_8_16_the_first_error_wins_and_names_what_failed_after_it() -> None:
    with pytest.raises(StepFailed) as caught, Undo() as undo:
        undo.callback(fail, "cannot unmount b")
        undo.callback(fail, "cannot unmount a")
        raise StepFailed("users", 3, ["no such group"], None)
    again = caught.value.with_log(None, "look at the log")
    for error in (caught.value, again):
        assert str(error).startswith("step 'users' failed with exit code 3\nits last lines:\n  no such group\n")
        assert str(error).endswith(
            "and what was begun is not all undone: cannot unmount a\n"
            "and what was begun is not all undone: cannot unmount b"
        )


def test_issue_8_16_an_error_of_undoing_alone_is_raised() -> None:
    with pytest.raises(HostError, match="cannot unmount"), Undo() as undo:
        undo.callback(fail, "cannot unmount")


def test_issue_8_16_an_interrupted_body_raises_what_is_not_undone() -> None:
    with pytest.raises(HostError, match="cannot unmount"), Undo() as undo:
        undo.callback(fail, "cannot unmount")
        raise KeyboardInterrupt


def test_issue_8_16_the_same_error_in_other_words_is_no_failure_of_undoing() -> None:
    def translated(_kind: object, error: BaseException | None, _trace: object) -> bool:
        raise BuildError("it failed") from error

    with pytest.raises(BuildError, match=r"^it failed$"), Undo() as undo:
        undo.push(translated)
        raise HostError("inner")
