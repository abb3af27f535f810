"""The two ends of a machine's serial line, with a real shell behind a real tty."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests.qemu import agent as agent_module
from vmgen_build.guests.qemu.agent import TAG, Agent, agent_script, agent_unit
from vmgen_build.limits import Limit

Damage = Callable[[bytes], bytes]


class Line:
    """The cable: carries bytes between the host's socket and the tty that the agent runs on, and may damage them."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.to_guest: Damage = bytes
        self.to_host: Damage = bytes
        self.host, self._socket = socket.socketpair()
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        (folder / "agent").write_text(agent_script(os.ttyname(slave), str(folder / "work")))
        self.process = subprocess.Popen([shell, folder / "agent"], stdin=subprocess.DEVNULL, start_new_session=True)
        self._slave = slave
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._socket], [], [])
            if self._socket in ready:
                data = self._socket.recv(4096)
                if not data:
                    return
                _write(self._master, self.to_guest(data))
            if self._master in ready:
                self._socket.sendall(self.to_host(os.read(self._master, 4096)))

    def noise(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.host.close()
        self._thread.join(5)
        os.close(self._master)
        os.close(self._slave)
        self._socket.close()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@pytest.fixture(params=["dash", "bash"])
def line(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Line]:
    made = Line(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def agent(line: Line, tmp_path: Path) -> Agent:
    speaker = Agent(line.host, lambda: "the console", work=str(tmp_path / "work"), grace=2)
    assert speaker.greeted(10)
    return speaker


def once(damage: Damage) -> Damage:
    left = [damage]
    return lambda data: left.pop()(data) if left else data


def test_output_and_code_come_back(agent: Agent) -> None:
    ran = agent.run("echo out; echo err >&2; printf 'no end'; exit 7")
    assert (ran.code, ran.out) == (7, "out\nerr\nno end")
    assert (agent.run("").code, agent.run("").out) == (0, "")


def test_any_text_arrives_as_it_is(agent: Agent) -> None:
    text = "".join(map(chr, range(1, 256))) + "\r\n\r\n'\\$`" + TAG + " 1 0 0 \n"
    assert agent.run(f"cat <<'END'\n{text.replace(chr(0), '')}\nEND\n").out == f"{text}\n"


def test_the_script_has_no_input_and_a_plain_environment(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agent.run("cat; echo $HOME; command -v ls").out.splitlines()[0] == "/root"
    assert agent.run("ls -l /proc/self/fd").out.count(" -> ") == 4


def test_much_is_asked_and_answered(agent: Agent) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    assert agent.run(f"cat <<'END'\n{text}END\n").out == text


def test_a_script_that_takes_too_long_ends(agent: Agent) -> None:
    start = time.monotonic()
    ran = agent.run("sleep 20", 0.3)
    assert (ran.code, ran.out) == (124, "no answer in 0.3 seconds")
    assert agent.run("echo next").out == "next\n"
    assert time.monotonic() - start < 5


def test_what_stays_in_the_background_holds_nothing_up(agent: Agent) -> None:
    start = time.monotonic()
    assert agent.run("sleep 3 & echo done").out == "done\n"
    assert time.monotonic() - start < 2


def test_files_go_both_ways(agent: Agent, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400 + b"\n\n"
    source, there, back = tmp_path / "source", tmp_path / "it's there", tmp_path / "back"
    source.write_bytes(data)
    agent.put(source, str(there), 0o640)
    assert there.read_bytes() == data and there.stat().st_mode & 0o777 == 0o640
    agent.get(str(there), back)
    assert back.read_bytes() == data
    agent.delete(str(there))
    assert not there.exists()
    with pytest.raises(BuildError, match=r"in the booted machine: .*(cannot open|No such file)"):
        agent.get(str(there), back)


def test_noise_on_the_line_is_ignored(line: Line, agent: Agent) -> None:
    line.noise(b"[ 1.0] a kernel message\r\n\x00\xff\x1b[31m\n" + TAG.encode() + b" 99\n")
    line.to_host = lambda data: data.replace(b"\n", b"\r\n")
    assert agent.run("echo heard").out == "heard\n"


def test_a_late_answer_is_not_taken_for_the_next(line: Line, agent: Agent) -> None:
    agent.run("true")
    line.noise(f"{TAG} 1 0 8 bGF0ZQo=\n".encode())
    assert agent.run("echo now").out == "now\n"


@pytest.mark.parametrize("damage", [lambda data: data[:10] + data[12:], lambda data: b"xx" + data])
def test_a_damaged_request_is_sent_again(line: Line, agent: Agent, damage: Damage) -> None:
    line.to_guest = once(damage)
    assert agent.run("echo twice").out == "twice\n"


def test_a_damaged_answer_is_asked_for_again_and_the_script_runs_once(line: Line, agent: Agent, tmp_path: Path) -> None:
    line.to_host = once(lambda data: data.replace(b"b25jZQo", b"b25Qo"))
    assert agent.run(f"echo . >>{tmp_path}/runs; echo once").out == "once\n"
    assert (tmp_path / "runs").read_text() == ".\n"


def test_a_line_that_damages_all_is_given_up(line: Line, agent: Agent) -> None:
    line.to_host = lambda data: data.replace(b" 0 ", b" 0")
    with pytest.raises(BuildError, match="damaged on their way\nthe console"):
        agent.run("true")


def test_a_machine_that_falls_silent_is_dead(line: Line, agent: Agent) -> None:
    line.process.kill()
    with pytest.raises(BuildError, match="does not answer any more\nthe console"):
        agent.run("true", 0.1)


def test_a_machine_that_is_gone(line: Line, agent: Agent) -> None:
    line._socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(BuildError, match="the machine stopped\nthe console"):
        agent.run("true")


def test_nobody_greets() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"noise\n")
    assert not Agent(ours, lambda: "").greeted(0.1)
    ours.close()
    theirs.close()


def test_a_question_is_one_request(line: Line, agent: Agent) -> None:
    """What a step costs is what each of them costs an emulated machine."""
    sent = bytearray()

    def counted(data: bytes) -> bytes:
        sent.extend(data)
        return data

    line.to_guest = counted
    for number in range(20):
        assert agent.run(f"echo {number}").out == f"{number}\n"
    assert bytes(sent).count(b"\n") == 20


def test_the_scripts_pass_shellcheck(tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text(agent_script())
    subprocess.run(["shellcheck", tmp_path / "agent.sh"], check=True)
    assert "ExecStart=/bin/sh /etc/a.sh\n" in agent_unit("/etc/a.sh")


def _silent(monkeypatch: pytest.MonkeyPatch) -> tuple[Agent, socket.socket]:
    monkeypatch.setattr(agent_module, "PATIENCE", 0.2)
    ours, theirs = socket.socketpair()
    return Agent(ours, lambda: "the console", grace=0.2), theirs


def test_issue_8_12_silence_during_a_long_script_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker, machine = _silent(monkeypatch)
    with machine, pytest.raises(BuildError, match="does not answer any more\nthe console"):
        speaker.run("#" * 10_000, 0.1)


def test_issue_8_12_a_machine_that_only_makes_noise_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker, machine = _silent(monkeypatch)
    over = threading.Event()

    def noise() -> None:
        with suppress(OSError):
            while not over.is_set():
                machine.sendall(b"noise\n" * 100)

    other = threading.Thread(target=noise)
    other.start()
    with pytest.raises(BuildError, match="does not answer any more"):
        speaker.run("true")
    over.set()
    speaker._wire.close()
    other.join()
    machine.close()


def test_issue_8_12_a_line_without_an_end_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "MACHINE_LINE", Limit("machine-line", "", 100_000))
    ours, theirs = socket.socketpair()
    speaker = Agent(ours, lambda: "the console", grace=5)
    other = threading.Thread(target=lambda: theirs.sendall(b"x" * 200_000))
    other.start()
    with pytest.raises(BuildError, match=r"of an answer of the machine .*limit 'machine-line'"):
        speaker.run("true", 5)
    ours.close()
    other.join()
    theirs.close()
