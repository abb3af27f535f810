"""Questions to a Windows, by a communicator that stands in for one: it keeps what it gets, and answers as it is told
to. What a Windows itself makes of the questions is tried under Wine (tests/integration/wine/test_wine_probes.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

import pytest

from vmgen_build.boots import windows
from vmgen_build.boots.model import Booted
from vmgen_build.boots.windows import ask_windows, until_settled
from vmgen_build.build.verify import ask_all
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.guests.communicators.windows import WindowsCommunicator, WindowsFacts
from vmgen_build.guests.model import Communicator
from vmgen_build.limits import Limit
from vmgen_build.plan.model import Probe

Answer = Callable[[str, str], bytes]
"""From the batch file and its nonce to its output."""

NAME = Probe("name", "[config] hostname", "echo lab", "lab", "batch")
LABEL = Probe("label", "[config] label", "'Größe'", "Größe", "powershell")


class Windows(WindowsCommunicator):
    def __init__(self, answer: Answer, encoding: str = "cp850") -> None:
        self._answer, self._facts = answer, WindowsFacts((6, 1), encoding, True)
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []

    def new_folder(self) -> str:
        return r"C:\new"

    def make_folder(self, remote: str) -> None: ...

    def send(self, file: IO[bytes], size: int, remote: str) -> None:
        self.files[remote] = file.read()
        assert len(self.files[remote]) == size

    def read(self, remote: str, limit: Limit) -> bytes | None:
        assert remote == r"C:\new\out.txt"
        script = self.files[r"C:\new\script.bat"].decode("ascii")
        nonce = re.search(r"answer ([0-9a-f]{32}) ", script)
        data = self._answer(script, nonce[1] if nonce else "")
        if len(data) > limit.amount:
            raise BuildError("too much")
        return data

    def start(self, program: str, *words: str) -> int:
        raise AssertionError

    def start_batch(self, script: str, argument: str, output: str) -> int:
        assert (script, argument, output) == (r"C:\new\script.bat", "", r"C:\new\out.txt")
        return 7

    def code_of(self, number: int) -> int | None:
        return 0

    def end(self, number: int) -> None: ...

    def delete(self, remote: str) -> None:
        self.deleted.append(remote)


class Machine(Booted):
    def __init__(self, there: Communicator) -> None:
        self._there = there

    @property
    def communicator(self) -> Communicator:
        return self._there

    def reach(self, address: str, port: int) -> str:
        return "closed"


def answered(text: str) -> Answer:
    return lambda _script, nonce: text.replace("NONCE", nonce).encode("cp850")


def test_answers_are_read_in_the_code_page_of_its_console() -> None:
    there = Windows(answered("answer NONCE 0 begin\r\nlabö\r\nanswer NONCE 0 end\r\n"))
    assert ask_windows(there, [NAME]) == {NAME: ("labö",)}
    assert there.deleted == [r"C:\new"]


def test_powershell_s_script_lies_beside_the_batch_file() -> None:
    there = Windows(answered("answer NONCE 1 = R3LDtsOfZQ==\r\nanswer NONCE 1 end\r\n"))
    assert ask_windows(there, [NAME, LABEL]) == {LABEL: ("Größe",)}
    assert there.files[r"C:\new\probes.ps1"].decode("utf-8-sig").count("'Größe'") == 1
    assert "Gr" not in there.files[r"C:\new\script.bat"].decode("ascii")


def test_each_asking_has_a_nonce_of_its_own() -> None:
    """What an image has learnt of an earlier one is no answer."""
    nonces: list[str] = []

    def kept(_script: str, nonce: str) -> bytes:
        nonces.append(nonce)
        return f"answer {nonces[0]} 0 begin\r\nlab\r\nanswer {nonces[0]} 0 end\r\n".encode()

    there = Windows(kept)
    assert ask_windows(there, [NAME]) and not ask_windows(there, [NAME])
    assert len(set(nonces)) == 2


def test_too_long_an_answer_ends_it_and_the_folder_goes() -> None:
    there = Windows(lambda *_: bytes(20 << 20))
    with pytest.raises(BuildError, match="too much"):
        ask_windows(there, [NAME])
    assert there.deleted == [r"C:\new"]


def test_until_its_setup_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts anew in the midst, and says nothing then."""
    monkeypatch.setattr(windows, "PAUSE", 0.01)
    turns = iter(["begun", "gone", "0x0"])

    def answer(_script: str, nonce: str) -> bytes:
        if (turn := next(turns)) == "gone":
            raise BuildError("it is off")
        return f"answer {nonce} 0 begin\r\n{turn}\r\nanswer {nonce} 0 end\r\n".encode()

    until_settled(Windows(answer), Probe("system", "the system", "x", "0x0", "batch", retry=60.0))
    assert not list(turns)


def test_a_windows_that_is_never_there_ends_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "PAUSE", 0.01)

    def silent(_script: str, _nonce: str) -> bytes:
        raise BuildError("it is off")

    with pytest.raises(BuildError, match="it is off"):
        until_settled(Windows(silent), Probe("system", "the system", "x", "0x0", "batch", retry=0.05))


def test_what_is_for_others_is_skipped_and_what_is_not_answered_fails() -> None:
    there = Windows(answered("answer NONCE 0 begin\r\nother\r\n\x1b[31m\r\nanswer NONCE 0 end\r\n"))
    probes = [NAME, LABEL, Probe("a", "[config] a", "exit 0")]
    done = ask_all(Machine(there), probes, Bus())
    assert [(one.outcome, one.found) for one in done] == [
        ("fails", "other, \x1b[31m, not lab"),
        ("fails", "nothing, not Größe"),
        ("skipped", "it is a question to no Windows"),
    ]
