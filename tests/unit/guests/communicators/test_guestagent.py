"""QEMU's guest agent. What answers here is a fake of qemu-ga that follows its documented protocol (QEMU's
docs/interop/qemu-ga-ref): it runs commands and opens files for real, and can be made to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.agentline import AgentError
from vmgen_build.guests.communicators.guestagent import GuestAgent

Answers = Callable[[str, dict[str, Any]], Any]


class Refusal(Exception):
    """An answer of the kind "error"."""


class FakeAgent:
    """answers: what stands in for a command's own answer; None for the real one."""

    def __init__(self, wire: socket.socket, answers: Answers = lambda command, arguments: None) -> None:
        self._wire, self._answers = wire, answers
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._inputs: dict[int, bytes] = {}
        self._files: dict[int, BinaryIO] = {}
        self.commands: list[str] = []
        self.arguments: list[dict[str, Any]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError, ValueError), self._wire.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line.rpartition(b"\xff")[2])
                self._wire.sendall(self._answered(request))

    def _answered(self, request: dict[str, Any]) -> bytes:
        command, arguments = request["execute"], request.get("arguments", {})
        self.commands.append(command)
        self.arguments.append(arguments)
        try:
            made = self._answers(command, arguments)
            if isinstance(made, bytes):
                return made
            found = made if made is not None else getattr(self, command.replace("-", "_"))(**_words(arguments))
        except Refusal as error:
            return json.dumps({"error": {"class": "CommandNotFound", "desc": str(error)}}).encode() + b"\n"
        except OSError as error:
            return json.dumps({"error": {"class": "GenericError", "desc": str(error)}}).encode() + b"\n"
        head = b"\xff" if command == "guest-sync-delimited" else b""
        return head + json.dumps({"return": found}).encode() + b"\n"

    def guest_sync_delimited(self, id: int) -> int:
        return id

    def guest_exec(self, path: str, arg: list[str], input_data: str, capture_output: bool) -> dict[str, int]:
        assert capture_output
        process = subprocess.Popen(
            [path, *arg],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath},
        )
        self._processes[process.pid] = process
        self._inputs[process.pid] = base64.b64decode(input_data)
        return {"pid": process.pid}

    def guest_exec_status(self, pid: int) -> dict[str, Any]:
        process = self._processes[pid]
        out, err = process.communicate(self._inputs[pid])
        code = process.returncode
        ended = {"exitcode": code} if code >= 0 else {"signal": -code}
        streams = {"out-data": out, "err-data": err}
        data = {name: base64.b64encode(text).decode() for name, text in streams.items() if text}
        return {"exited": True} | ended | data

    def guest_file_open(self, path: str, mode: str) -> int:
        file = Path(path).open(f"{mode}b")  # noqa: SIM115 - closed by guest-file-close
        self._files[file.fileno()] = file  # type: ignore[assignment]
        return file.fileno()

    def guest_file_write(self, handle: int, buf_b64: str) -> dict[str, Any]:
        """It may write less than it was given."""
        piece = base64.b64decode(buf_b64)[:30_000]
        return {"count": self._files[handle].write(piece), "eof": False}

    def guest_file_read(self, handle: int, count: int) -> dict[str, Any]:
        data = self._files[handle].read(count)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": len(data) < count}

    def guest_file_close(self, handle: int) -> dict[str, Any]:
        self._files.pop(handle).close()
        return {}


def _words(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in arguments.items()}


@pytest.fixture()
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@pytest.fixture()
def fake(wires: tuple[socket.socket, socket.socket]) -> FakeAgent:
    return FakeAgent(wires[1])


@pytest.fixture()
def agent(wires: tuple[socket.socket, socket.socket], fake: FakeAgent) -> GuestAgent:
    return GuestAgent(wires[0], lambda: "the console")


def misled(wires: tuple[socket.socket, socket.socket], answers: Answers, patience: float = 10) -> GuestAgent:
    FakeAgent(wires[1], answers)
    return GuestAgent(wires[0], lambda: "the console", patience)


def test_a_script_goes_by_standard_input_alone(agent: GuestAgent, fake: FakeAgent) -> None:
    ran = agent.run("echo one canary\ncat\necho two >&2\nexit 3\n", 30)
    assert (ran.code, ran.out) == (3, "one canary\ntwo\n")
    assert "canary" not in json.dumps([one.get("arg") for one in fake.arguments])


def test_what_takes_too_long_is_ended_there(agent: GuestAgent) -> None:
    ran = agent.run("sleep 600", 0.3)
    assert ran.code == TIMED_OUT and "no answer in 0.3 seconds" in ran.out
    assert agent.run("kill -9 $$", 30).code == 128 + 9


def test_files_go_there_and_back(agent: GuestAgent, tmp_path: Path) -> None:
    local, there, back = tmp_path / "local", tmp_path / "a b'c", tmp_path / "back"
    local.write_bytes(os.urandom(200_000))
    agent.put(local, str(there), 0o640)
    assert there.stat().st_mode & 0o777 == 0o640
    agent.get(str(there), back)
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in (local, there, back)}) == 1
    agent.delete(str(there))
    assert not there.exists()
    with pytest.raises(AgentError, match=r"refuses guest-file-open: .*No such file"):
        agent.get(str(there), back)
    with pytest.raises(BuildError, match=r"cannot write .*/none/x in the machine"):
        agent.put(local, f"{tmp_path}/none/x")


def test_what_stood_on_the_wire_is_passed_over(
    wires: tuple[socket.socket, socket.socket], fake: FakeAgent, agent: GuestAgent
) -> None:
    wires[1].sendall(b'{"return": 4711}\n{"half an ans')
    assert agent.answers(10)
    assert agent.run("echo there", 10).out == "there\n"


def test_silence_is_no_answer(wires: tuple[socket.socket, socket.socket]) -> None:
    agent = GuestAgent(wires[0], lambda: "the console", patience=0.2)
    assert not agent.answers(0.1)
    with pytest.raises(BuildError, match=r"does not answer to guest-exec within 0.2 s\nthe console"):
        agent.run("true", 10)


def test_a_machine_that_stops_is_an_error(wires: tuple[socket.socket, socket.socket]) -> None:
    agent = GuestAgent(wires[0], lambda: "the console")
    wires[1].close()
    with pytest.raises(BuildError, match="the machine stopped"):
        agent.answers(1)


def test_a_command_that_is_switched_off_is_named_with_what_to_do(
    wires: tuple[socket.socket, socket.socket],
) -> None:
    def refuse(command: str, arguments: dict[str, Any]) -> Any:
        if command == "guest-exec":
            raise Refusal("Command guest-exec has been disabled")

    agent = misled(wires, refuse)
    with pytest.raises(AgentError, match=r"refuses guest-exec: Command guest-exec has been disabled; .*BLACKLIST_RPC"):
        agent.run("true", 10)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("guest-exec", {"pid": "x"}),
        ("guest-exec", [1]),
        ("guest-exec-status", {"exited": "yes"}),
        ("guest-exec-status", {"exited": True}),
        ("guest-exec-status", {"exited": True, "exitcode": 0, "out-data": "no base64"}),
    ],
)
def test_nonsense_is_named(wires: tuple[socket.socket, socket.socket], command: str, answer: Any) -> None:
    agent = misled(wires, lambda asked, _: answer if asked == command else None)
    with pytest.raises(BuildError, match="which its protocol has not"):
        agent.run("true", 10)


def test_output_that_was_cut_off_is_an_error(wires: tuple[socket.socket, socket.socket]) -> None:
    cut = {"exited": True, "exitcode": 0, "out-truncated": True}
    agent = misled(wires, lambda asked, _: cut if asked == "guest-exec-status" else None)
    with pytest.raises(BuildError, match="cuts off what a script prints"):
        agent.run("true", 10)


def test_an_answer_without_end_is_an_error(wires: tuple[socket.socket, socket.socket]) -> None:
    agent = misled(wires, lambda asked, _: bytes(20_000_000) if asked == "guest-exec" else None)
    with pytest.raises(BuildError, match="machine-line"):
        agent.run("true", 10)
