"""File systems that are frozen by an order over a serial port: a pseudo terminal is the port, and programs of the test
note what they were asked to do."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import tty
from contextlib import closing
from pathlib import Path

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.guests.qemu.freezer import Freezer
from vmgen_build.plan.text.render import Renderer


class Here(Communicator):
    """Runs scripts here, with a port and programs of the test's."""

    def __init__(self, port: str, programs: Path) -> None:
        self._port, self._programs = port, programs

    def run(self, script: str, timeout: float | None = None) -> Ran:
        text = script.replace("/dev/ttyS1", self._port)
        path = {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        done = subprocess.run(["sh"], input=text, capture_output=True, text=True, timeout=timeout, env=path)
        return Ran(done.returncode, done.stdout + done.stderr)

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        raise NotImplementedError

    def get(self, remote: str, local: Path) -> None:
        raise NotImplementedError

    def delete(self, remote: str) -> None:
        raise NotImplementedError


class OfTerminal:
    """The host's end of a pseudo terminal, as a socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def settimeout(self, seconds: float) -> None: ...

    def sendall(self, data: bytes) -> None:
        os.write(self._fd, data)

    def recv(self, size: int) -> bytes:
        return os.read(self._fd, size)


def test_they_stand_still_between_two_orders(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for name, script in (("findmnt", "printf '/\\n/srv\\n'"), ("fsfreeze", f'echo "$*" >>{notes}'), ("sync", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    host, port = pty.openpty()
    tty.setraw(host)
    wire = OfTerminal(host)
    freezer = Freezer(wire, Here(os.ttyname(port), tmp_path), patience=30)  # type: ignore[arg-type]
    for _ in range(2):
        freezer.freeze()
        assert notes.read_text() == "--freeze /srv\n--freeze /\n"
        freezer.thaw()
        assert notes.read_text() == "--freeze /srv\n--freeze /\n--unfreeze /\n--unfreeze /srv\n"
        notes.unlink()
    for fd in (host, port):
        os.close(fd)


def test_a_machine_without_that_port_says_so(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), pytest.raises(BuildError, match="no serial port /dev/none"):
        Freezer(ours, Here("/dev/none", tmp_path)).freeze()


class Silent(Here):
    def run(self, script: str, timeout: float | None = None) -> Ran:
        return Ran(0, "")


@pytest.mark.parametrize(
    ("sent", "message"), [(b"noise\nmore", "does not say within 0.2 s that it is ready"), (None, "stopped")]
)
def test_silence_and_an_end_are_errors(tmp_path: Path, sent: bytes | None, message: str) -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        if sent is None:
            theirs.close()
        else:
            theirs.sendall(sent)
        with pytest.raises(BuildError, match=message):
            Freezer(ours, Silent("", tmp_path), patience=0.2).freeze()


def test_its_script_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "freezer.sh"
    path.write_text(Renderer(None).sh("vm/freezer.sh.j2", port="/dev/ttyS1"))
    ran = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
