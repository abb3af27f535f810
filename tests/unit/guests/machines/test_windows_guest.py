"""Steps of Windows in a machine of memory: a fake of what a WindowsCommunicator does there (guests/communicators)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.windows import WindowsCommunicator, WindowsFacts, batch_arguments, console_text
from vmgen_build.guests.machines import windows as module
from vmgen_build.guests.machines.windows import RESTARTS, WindowsGuest
from vmgen_build.limits import Limit
from vmgen_build.plan.model import Step
from vmgen_build.secret import Secret

FOLDER = r"C:\Windows\Temp\vmgen"
STEP = Step(name="users", title="users", script="x", dialect="batch", secrets={"ana": Secret("c4n4ry\r\n")})


class FakeWindows(WindowsCommunicator):
    """ends: the code of what is started, and what it prints. stamps: whether it comes to its last line."""

    def __init__(self, code: int | None, out: bytes = b"", stamps: bool = True, encoding: str = "cp850") -> None:
        self._facts = WindowsFacts((6, 1), encoding, True)
        self.code, self.out, self.stamps = code, out, stamps
        self.files: dict[str, bytes] = {}
        self.folders: list[str] = []
        self.done: list[str] = []
        self.busy = 0

    def new_folder(self) -> str:
        raise NotImplementedError

    def make_folder(self, remote: str) -> None:
        assert remote not in self.folders
        self.folders.append(remote)

    def send(self, file: IO[bytes], size: int, remote: str) -> None:
        self.files[remote] = file.read(size)
        self.done.append(f"send {remote}")

    def read(self, remote: str, limit: Limit) -> bytes | None:
        data = self.files.get(remote)
        if data is not None and len(data) > limit.amount:
            raise BuildError(f"{remote}: {limit.exceeded}")
        return data

    def start(self, program: str, *words: str) -> int:
        self.done.append(f"start {program.rpartition(chr(92))[2]}")
        return 2

    def start_batch(self, script: str, argument: str, output: str) -> int:
        self.done.append("start cmd.exe")
        assert script == rf"{FOLDER}\script.bat" and re.fullmatch("[0-9a-f]+", argument)
        self.files[output] = self.out
        if self.stamps:
            self.files[rf"{FOLDER}\done"] = f"{argument} done\r\n".encode()
        return 1

    def code_of(self, number: int) -> int | None:
        return self.code if number == 1 else 0

    def end(self, number: int) -> None:
        self.done.append(f"end {number}")

    def delete(self, remote: str) -> None:
        if self.busy:
            self.busy -= 1
            raise BuildError("it is in use")
        self.done.append(f"delete {remote}")
        self.files = {name: data for name, data in self.files.items() if not name.startswith(remote)}
        self.folders = [name for name in self.folders if not name.startswith(remote)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK", 0.01)


def guest(there: FakeWindows, restarts: list[int] | None = None) -> WindowsGuest:
    family = SimpleNamespace(step_folder=FOLDER)
    plan = SimpleNamespace(system=SimpleNamespace(family=family, nt=(6, 1)), epoch=0, name="lab")
    again: Callable[[], Any] = lambda: (restarts if restarts is not None else []).append(1)  # noqa: E731
    machine = SimpleNamespace(communicator=there, restart=again)
    return WindowsGuest(cast(Any, machine), cast(Any, plan), (), lambda name: Path(name))


def test_a_step_and_its_folder() -> None:
    there, lines = FakeWindows(0, b"a\r\n\x84b"), list[str]()
    result = guest(there).run_step(STEP, lines.append)
    assert result.ok and lines == ["a", "äb"]
    assert there.done == [
        f"delete {FOLDER}",
        rf"send {FOLDER}\script.bat",
        rf"send {FOLDER}\secrets\ana",
        "start cmd.exe",
        "start fsutil.exe",
        rf"delete {FOLDER}\secrets",
        f"delete {FOLDER}",
    ]
    assert (there.files, there.folders) == ({}, [])


@pytest.mark.parametrize(
    ("code", "stamps", "found"), [(5, False, 5), (0, False, 1), (3010, True, 3010), (-1, False, -1)]
)
def test_what_is_no_success(code: int, stamps: bool, found: int) -> None:
    """A code that is none of the step's; one that is, without the nonce."""
    there, lines = FakeWindows(code, stamps=stamps), list[str]()
    result = guest(there).run_step(STEP, lines.append)
    assert not result.ok and result.code == found and there.files == {}
    assert any("before its last line" in line for line in lines) == (code == 0)


def test_the_nonce_of_another_run_counts_for_nothing() -> None:
    there = FakeWindows(0, stamps=False)
    there.delete = lambda remote: None  # type: ignore[method-assign]
    there.files[rf"{FOLDER}\done"] = b"0123 done\r\n"
    assert not guest(there).run_step(STEP, print).ok


def test_a_step_that_takes_too_long_is_ended() -> None:
    there = FakeWindows(None)
    result = guest(there).run_step(Step(name="a", title="a", script="x", timeout=0.02), print)
    assert result.timed_out and "end 1" in there.done and there.folders == []


def test_restarts_are_bounded() -> None:
    step = Step(name="a", title="a", script="x", success=(0, 3010))
    there, restarts = FakeWindows(3010), list[int]()
    made = guest(there, restarts)
    for _ in range(RESTARTS):
        assert made.run_step(step, print).ok
    with pytest.raises(BuildError, match="11th restart in a row"):
        made.run_step(step, print)
    assert len(restarts) == RESTARTS
    there.code = 0
    assert made.run_step(step, print).ok and len(restarts) == RESTARTS
    there.code = 3010
    assert made.run_step(step, print).ok and len(restarts) == RESTARTS + 1


def test_a_folder_that_is_in_use_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    there = FakeWindows(0)
    there.busy = 1
    assert guest(there).run_step(STEP, print).ok
    there.busy = 99
    monkeypatch.setattr(module, "BUSY", 0.0)
    with pytest.raises(BuildError, match="a program still uses what is in it"):
        guest(there).run_step(STEP, print)


def test_a_machine_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        asked = 0

        @property
        def communicator(self) -> FakeWindows:
            self.asked += 1
            raise BuildError("no administrator" if self.asked == 1 else "the machine runs no more")

    made = guest(FakeWindows(0))
    monkeypatch.setattr(made, "machine", Dead())
    with pytest.raises(BuildError, match=r"^no administrator$"):
        made.run_step(STEP, print)


def test_output_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOWS_OUTPUT", Limit("windows-output", "", 10))
    lines = list[str]()
    assert guest(FakeWindows(0, b"0123456789ab")).run_step(STEP, lines.append).ok
    assert "no more is shown" in "".join(lines)


def test_what_wmic_writes() -> None:
    assert console_text("a=1\r\n".encode("utf-16")) == b"a=1\r\n"
    assert console_text(b"\xff\xfe\x84") == b"\xff\xfe\x84"


def test_the_command_line() -> None:
    """As facts of cmd.exe have it: /s takes the outer quotes off."""
    assert batch_arguments(r"C:\a b\s.bat", "77", r"C:\a b\o.txt") == (
        r'/d /s /c ""C:\a b\s.bat" 77 >"C:\a b\o.txt" 2>&1 <nul"'
    )
