"""Speaking to QEMU itself, played by a thread."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vmgen_build.guests.qemu import qmp
from vmgen_build.guests.qemu.qmp import Qmp, QmpError


@contextmanager
def qemu(*answers: bytes) -> Iterator[tuple[Qmp, list[bytes]]]:
    """The client of one that greets, takes the capabilities, and then gives these answers; and what it was asked."""
    ours, theirs = socket.socketpair()
    asked: list[bytes] = []

    def answer() -> None:
        theirs.sendall(b'{"QMP": {}}\n')
        theirs.recv(1000)
        theirs.sendall(b'{"event": "RESUME"}\n{"return": {}}\n')
        for each in answers:
            data, fds, _, _ = socket.recv_fds(theirs, 4000, 1)
            asked.append(data)
            for fd in fds:
                asked.append(os.read(fd, 100))
                os.close(fd)
            theirs.sendall(each)

    other = threading.Thread(target=answer)
    other.start()
    client = Qmp(ours)
    yield client, asked
    other.join()
    client.close()
    ours.close()
    theirs.close()


def test_an_answer_comes_back_and_events_are_passed_over() -> None:
    with qemu(b'{"event": "STOP"}\n{"return": {"status": "running"}}\n') as (client, asked):
        assert client.execute("blockdev-snapshot", node="a", node_name="b") == {"status": "running"}
    assert json.loads(asked[0]) == {"execute": "blockdev-snapshot", "arguments": {"node": "a", "node-name": "b"}}


def test_restarts_are_counted() -> None:
    reset = b'{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}\n'
    with qemu(reset + b'{"return": {}}\n', reset * 2 + b'{"return": {}}\n') as (client, _):
        client.execute("query-status")
        assert client.restarts == 1
        client.execute("query-status")
    assert client.restarts == 3


def test_errors_are_reported() -> None:
    answer = b'{"error": {"class": "DeviceNotFound", "desc": "Device \'nic3\' not found"}}\n'
    with qemu(answer) as (client, _), pytest.raises(QmpError, match="Device 'nic3' not found"):
        client.execute("set_link", name="nic3", up=False)


def test_an_open_file_goes_there(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"content")
    with qemu(b'{"return": {"fdset-id": 7, "fd": 12}}\n') as (client, asked), (tmp_path / "disk").open("rb") as file:
        assert client.add_fd(file.fileno()) == 7
    assert json.loads(asked[0]) == {"execute": "add-fd"}
    assert asked[1] == b"content"


@pytest.mark.parametrize("end", [lambda s: s.close(), lambda s: s.sendall(b"no json\n")])
def test_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, end: Callable[[socket.socket], None]) -> None:
    monkeypatch.setattr(qmp, "PATIENCE", 0.2)
    ours, theirs = socket.socketpair()
    end(theirs)
    with pytest.raises(QmpError, match="QEMU does not answer"):
        Qmp(ours).execute("query-status")
    ours.close()
    theirs.close()
