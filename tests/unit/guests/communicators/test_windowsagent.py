"""A Windows by QEMU's guest agent. What answers here is a fake of a qemu-ga on Windows, by QEMU's documented protocol
(docs/interop/qemu-ga-ref) and what its source does there (qga/commands-win32.c): words of guest-exec become a command
line as glib quotes them, a file is shared with readers alone, and cmd.exe's own commands are done on a drive C: of
memory. What a batch file does is made up."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.wine.qemuga import Refused, by_glib
from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.agentline import AgentError
from vmgen_build.guests.communicators.windowsagent import WindowsAgent
from vmgen_build.limits import Limit

LIMIT = Limit("test", "", 1 << 20)

CMD = r"C:\Windows\System32\cmd.exe"

Batch = Callable[["FakeWindowsAgent", str, str], "int | None"]
"""Takes the agent, what stands in the batch file, and its argument; its code, None for one that does not end."""


class FakeWindowsAgent:
    """batch: what batch files do. files: by their paths; in_use: those that a program writes to, of which locked are
    shared with nobody. silent: commands without an answer; refused: those that it does not know."""

    def __init__(self, wire: socket.socket, batch: Batch = lambda there, script, argument: 0) -> None:
        self._wire, self.batch = wire, batch
        self.files: dict[str, bytes] = {}
        self.folders = {r"C:\Windows\Temp"}
        self.in_use: set[str] = set()
        self.locked: set[str] = set()
        self.silent: set[str] = set()
        self.refused: dict[str, str] = {}
        self.lines: list[str] = []
        self.modes: list[str] = []
        self._codes: dict[int, int | None] = {}
        self._open: dict[int, list[Any]] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError, ValueError), self._wire.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line.rpartition(b"\xff")[2])
                if request["execute"] not in self.silent:
                    self._wire.sendall(self._answered(request["execute"], request["arguments"]))

    def _answered(self, command: str, arguments: dict[str, Any]) -> bytes:
        try:
            if command in self.refused:
                raise Refused(self.refused[command], "CommandNotFound")
            words = {name.replace("-", "_"): value for name, value in arguments.items()}
            answer = {"return": getattr(self, command.replace("-", "_"))(**words)}
        except Refused as error:
            answer = {"error": {"class": error.kind, "desc": str(error)}}
        head = b"\xff" if command == "guest-sync-delimited" else b""
        return head + json.dumps(answer).encode() + b"\n"

    def guest_sync_delimited(self, id: int) -> int:
        return id

    def guest_exec(self, path: str, arg: list[str]) -> dict[str, int]:
        assert all(arg), "glib makes nothing of an empty word"
        self.lines.append(" ".join([by_glib(path), *map(by_glib, arg)]))
        number = 4000 + 4 * len(self.lines)
        self._codes[number] = self._started(self.lines[-1])
        return {"pid": number}

    def guest_exec_status(self, pid: int) -> dict[str, Any]:
        if pid not in self._codes:
            raise Refused(f"PID {pid} does not exist")
        code = self._codes[pid]
        if code is None:
            return {"exited": False}
        del self._codes[pid]
        return {"exited": True, **({"signal": code} if code >= 0xC0000000 else {"exitcode": code})}

    def guest_file_open(self, path: str, mode: str) -> int:
        self.modes.append(mode)
        if mode == "rb" and path not in self.files:
            raise Refused(f"failed to open file '{path}': Das System kann die angegebene Datei nicht finden.")
        if path in self.in_use | self.locked:
            raise Refused(f"failed to open file '{path}': Der Prozess kann nicht auf die Datei zugreifen, ...")
        if path.rpartition("\\")[0] not in self.folders:
            raise Refused(f"failed to open file '{path}': Das System kann den angegebenen Pfad nicht finden.")
        if mode == "wb":
            self.files[path] = b""
        self._open[len(self.modes)] = [path, 0]
        return len(self.modes)

    def guest_file_write(self, handle: int, buf_b64: str) -> dict[str, Any]:
        """It may write less than it was given."""
        piece = base64.b64decode(buf_b64)[:30_000]
        self.files[self._open[handle][0]] += piece
        return {"count": len(piece), "eof": False}

    def guest_file_read(self, handle: int, count: int) -> dict[str, Any]:
        """At the end there is no data, and eof then alone."""
        path, at = self._open[handle]
        data = self.files[path][at : at + count]
        self._open[handle][1] += len(data)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": not data}

    def guest_file_close(self, handle: int) -> dict[str, Any]:
        del self._open[handle]
        return {}

    @property
    def handles(self) -> int:
        return len(self._open)

    def _started(self, line: str) -> int | None:
        match = re.fullmatch(re.escape(CMD) + r" /d /c (.*)", line)
        if match is None:
            return 0
        words = match[1].split(" ")
        assert not re.search(r'["&|<>^%()]', match[1]), "cmd.exe reads these in ways of its own"
        if words[0].endswith(r"\begin.bat"):
            return self._begun(words[0])
        return self._own_command(words)

    def _own_command(self, words: list[str]) -> int:
        path = words[-1]
        match words:
            case ["mkdir", _]:
                known = path in self.folders
                self.folders.add(path)
                return int(known)
            case ["rmdir", "/s", "/q", _]:
                if any(name.startswith(path) for name in self.in_use):
                    return 0
                self.files = {name: data for name, data in self.files.items() if not name.startswith(f"{path}\\")}
                self.folders = {name for name in self.folders if name != path and not name.startswith(f"{path}\\")}
                return 0
            case ["if", "exist", what, "exit", code]:
                return int(code) if what in self.folders or what in self.files else 0
            case ["copy", "/b", "/y", source, goal]:
                if source in self.locked:
                    return 1
                self.files[goal] = self.files[source]
                return 0
            case ["del", "/f", "/q", _]:
                self.files.pop(path, None)
                return 0
        raise AssertionError(words)

    def _begun(self, path: str) -> int | None:
        """cmd.exe of the batch file that begins another, and that one's own."""
        text = self.files[path].decode("ascii")
        assert text.count("\n") == text.count("\r\n") == 4
        first, working, line, last = text.split("\r\n")[:4]
        assert (first, working, last) == ("@echo off", r"cd /d C:\Windows", "exit %errorlevel%")
        match = re.fullmatch(re.escape(CMD) + r' /d /s /c ""([^"]+)"( \w+)? >"([^"]+)" 2>&1 <nul"', line)
        assert match is not None, line
        assert match[1].rpartition("\\")[0] == path.rpartition("\\")[0]
        self.files.setdefault(match[3], b"")
        self.output = match[3]
        return self.batch(self, self.files[match[1]].decode("ascii"), (match[2] or "").strip())


@pytest.fixture()
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@pytest.fixture()
def fake(wires: tuple[socket.socket, socket.socket]) -> FakeWindowsAgent:
    return FakeWindowsAgent(wires[1])


@pytest.fixture()
def agent(wires: tuple[socket.socket, socket.socket], fake: FakeWindowsAgent) -> WindowsAgent:
    return WindowsAgent(wires[0], lambda: "the console", 5)


def printing(text: bytes, code: int | None = 0) -> Batch:
    def batch(there: FakeWindowsAgent, script: str, argument: str) -> int | None:
        there.files[there.output] = text
        return code

    return batch


def test_a_batch_file_runs_in_a_folder_that_goes(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    fake.batch = printing(b"one\r\ntwo\r\n", 300)
    ran = agent.run("@echo off\r\n")
    assert (ran.code, ran.out) == (300, "one\ntwo\n")
    assert fake.files == {} and fake.folders == {r"C:\Windows\Temp"} and fake.handles == 0


def test_what_it_is_and_whether_it_takes_orders(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    fake.batch = printing(b"\r\nMicrosoft Windows [Version 10.0.19045.3930]\r\nAktive Codepage: 850.\r\n")
    assert (agent.facts.nt, agent.facts.encoding, agent.facts.administrator) == ((10, 0), "cp850", True)
    ran = len(fake.lines)
    assert agent.facts.nt and len(fake.lines) == ran


def test_what_takes_too_long_is_ended_with_all_that_it_has_started(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    fake.batch = printing(b"", None)
    assert agent.run("@pause\r\n", 0.1).code == TIMED_OUT
    number = re.search(r"taskkill\.exe /f /t /pid (\d+)$", "\n".join(fake.lines), re.MULTILINE)
    begun = [4004 + 4 * at for at, line in enumerate(fake.lines) if line.endswith("begin.bat")]
    assert number is not None and [int(number[1])] == begun


def test_an_exception_is_a_code(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    fake.batch = printing(b"", 0xC0000005)
    assert agent.run("crash\r\n").code == 0xC0000005


def test_words_reach_programs_as_they_are(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    agent.start(r"C:\Windows\System32\fsutil.exe", "file", r"C:\a b\c", 'x"y', "z\\")
    assert fake.lines == [r'C:\Windows\System32\fsutil.exe file "C:\a b\c" x\"y' + " z\\"]


def test_files_go_there_and_back(agent: WindowsAgent, fake: FakeWindowsAgent, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(bytes(range(256)) * 500)
    agent.put(one, r"C:\Windows\Temp\one file")
    agent.get(r"C:\Windows\Temp\one file", two)
    assert two.read_bytes() == one.read_bytes() and fake.modes == ["wb", "rb"] and fake.handles == 0
    with pytest.raises(BuildError, match="more than the limit 'test' allows"):
        agent.read(r"C:\Windows\Temp\one file", Limit("test", "a file", 1000))
    assert fake.handles == 0
    with pytest.raises(BuildError, match="no file"):
        agent.get(r"C:\Windows\Temp\none", two)
    with pytest.raises(AgentError, match="angegebenen Pfad"):
        agent.put(one, r"C:\none\one")


def test_what_a_program_still_writes_to_is_read(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    """The agent cannot open it; whether it is there at all is not asked of the error's text, which is localised."""
    path = r"C:\Windows\Temp\out.txt"
    fake.files[path] = b"so far"
    fake.in_use.add(path)
    assert agent.read(path, LIMIT) == b"so far"
    assert list(fake.files) == [path] and fake.handles == 0
    assert agent.read(r"C:\Windows\Temp\done", LIMIT) is None
    fake.locked.add(path)
    with pytest.raises(BuildError, match="shares it with nobody"):
        agent.read(path, LIMIT)


def test_folders(agent: WindowsAgent, fake: FakeWindowsAgent) -> None:
    folder = r"C:\Windows\Temp\vmgen"
    agent.delete(folder)
    agent.make_folder(folder)
    with pytest.raises(BuildError, match="cannot make the folder"):
        agent.make_folder(folder)
    fake.files[rf"{folder}\x"] = b""
    fake.in_use.add(rf"{folder}\x")
    with pytest.raises(BuildError, match="is in use"):
        agent.delete(folder)
    fake.in_use.clear()
    agent.delete(folder)
    assert folder not in fake.folders and fake.files == {}


def test_shutting_down_has_no_answer(
    agent: WindowsAgent, fake: FakeWindowsAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmgen_build.guests.communicators.agentline.REFUSAL", 0.2)
    fake.silent.add("guest-shutdown")
    agent.shut_down()
    assert agent.answers(5)
    fake.silent.clear()
    fake.refused["guest-shutdown"] = "The command guest-shutdown has not been found"
    with pytest.raises(AgentError, match="has not been found; allow it there: the service 'QEMU Guest Agent'"):
        agent.shut_down()


def test_an_answer_that_comes_too_late_is_none_of_the_next(wires: tuple[socket.socket, socket.socket]) -> None:
    fake = FakeWindowsAgent(wires[1])
    agent = WindowsAgent(wires[0], lambda: "the console", 0.2)
    fake.silent.add("guest-exec")
    with pytest.raises(BuildError, match=r"does not answer to guest-exec within 0.2 s\nthe console"):
        agent.make_folder(r"C:\Windows\Temp\a")
    wires[1].sendall(b'{"return": {"pid": 7}}\n')
    fake.silent.clear()
    agent.make_folder(r"C:\Windows\Temp\b")
    assert fake.folders == {r"C:\Windows\Temp", r"C:\Windows\Temp\b"}


def test_a_machine_that_dies(agent: WindowsAgent, wires: tuple[socket.socket, socket.socket]) -> None:
    wires[1].shutdown(socket.SHUT_RDWR)
    with pytest.raises(BuildError, match="the machine stopped\nthe console"):
        agent.make_folder(r"C:\Windows\Temp\a")
    agent.shut_down()
