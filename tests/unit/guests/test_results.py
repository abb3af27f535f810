"""How a step ended, and what a guest does about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import StepFailed, StepTimedOut
from vmgen_build.guests.model import Output, StepExecutor
from vmgen_build.plan.model import Step


class Notebook(StepExecutor):
    """Writes down what it was asked for; its scripts end as they say, "late" where their time is over."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def _fetch_indexes(self, output: Output) -> None:
        self.done.append("fetch")

    def _execute(self, step: Step, output: Output) -> int | None:
        self.done.append(step.name)
        for number in range(30):
            output(f"line {number}")
        return None if step.script == "late" else int(step.script)

    def _restart(self) -> None:
        self.done.append("restart")


def ignore(line: str) -> None:
    return


@pytest.mark.parametrize(
    ("code", "success", "ok"),
    [
        (0, (0,), True),
        (3, (0,), False),
        (3, (0, 3), True),
        (3010, (0, 3010), True),
        (0, (3,), False),
        (124, (0,), False),
    ],
)
def test_the_exit_code_is_judged_by_the_step(code: int, success: tuple[int, ...], ok: bool) -> None:
    result = Notebook().run_step(Step(name="s", title="", script=str(code), success=success), ignore)
    assert result.ok == ok and result.code == code
    assert result.tail[-1] == "line 29" and len(result.tail) == 20
    assert f"failed with exit code {code}" in str(result.failure())


def test_a_step_that_took_too_long_failed_whatever_its_codes(tmp_path: Path) -> None:
    step = Step(name="slow", title="", script="late", timeout=1.5, success=(0, 124))
    result = Notebook().run_step(step, ignore)
    assert not result.ok
    error = result.failure()
    assert "step 'slow' took longer than 1.5 s and was ended" in str(error) and "line 29" in str(error)
    later = error.with_log(tmp_path / "log", "make room")
    assert isinstance(later, StepFailed) and "took longer than 1.5 s" in str(later)
    assert str(tmp_path / "log") in str(later) and str(later).endswith("make room")


def test_indexes_are_fetched_for_what_installs_alone() -> None:
    runner = Notebook()
    runner.run_step(Step(name="script", title="", script="0", network=True), ignore)
    runner.run_step(Step(name="packages", title="", script="0", network=True, installs=True), ignore)
    assert runner.done == ["script", "fetch", "packages"]


def test_issue_8_15_a_mirror_that_stalls_holds_up_no_build_for_ever() -> None:
    runner = Notebook()
    installing = runner.run_step(Step(name="packages", title="", script="late", installs=True), ignore)
    assert "step 'packages' took longer than 21600 s" in str(installing.failure())
    own = runner.run_step(Step(name="packages", title="", script="late", installs=True, timeout=2.0), ignore)
    assert "took longer than 2 s" in str(own.failure())
    with pytest.raises(StepTimedOut, match=r"(?s)update of the package indexes.* longer than 300 s.*the mirror"):
        runner._run_fetching("late", ignore)
    assert runner.done.count("package-indexes") == 3


def test_a_restart_follows_a_step_that_went_well() -> None:
    runner = Notebook()
    runner.run_step(Step(name="bad", title="", script="1", reboot=True), ignore)
    runner.run_step(Step(name="good", title="", script="3010", reboot=True, success=(0, 3010)), ignore)
    assert runner.done == ["bad", "good", "restart"]
