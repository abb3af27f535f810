"""Passwords, against paramiko's own ssh server: sshd takes none without changing the accounts of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.runners import parse_host
from vmgen_build.guests.runners.sshconnect import open_ssh


class Server(paramiko.ServerInterface):
    """way: the one that it takes, "password" or "keyboard-interactive"."""

    def __init__(self, way: str) -> None:
        self.way = way

    def get_allowed_auths(self, username: str) -> str:
        return self.way

    def check_auth_password(self, username: str, password: str) -> int:
        good = (self.way, username, password) == ("password", "root", "canary")
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int | paramiko.server.InteractiveQuery:
        if self.way == "password":
            return paramiko.AUTH_FAILED
        return paramiko.server.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return paramiko.AUTH_SUCCESSFUL if responses == ["canary"] else paramiko.AUTH_FAILED


@pytest.fixture(params=["password", "keyboard-interactive"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VMGEN_SSH_KNOWN_HOSTS", str(tmp_path / "known"))
    monkeypatch.setattr("sys.stdin", None)
    for name in ("SSH_AUTH_SOCK", "VMGEN_SSH_KEY", "VMGEN_SSH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    key = paramiko.ECDSAKey.generate()
    transports = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(wire)
            transport.add_server_key(key)
            transports.append(transport)
            transport.start_server(event=threading.Event(), server=Server(request.param))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"ssh://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for transport in transports:
        transport.close()


def test_the_password_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMGEN_SSH_PASSWORD", "canary")
    runner = open_ssh(parse_host(url), accept_new=True)
    assert runner.alive
    runner.close()


def test_a_wrong_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMGEN_SSH_PASSWORD", "wrong canary")
    with pytest.raises(HostError) as error:
        open_ssh(parse_host(url), accept_new=True)
    assert "the password of $VMGEN_SSH_PASSWORD" in str(error.value)
    assert "canary" not in str(error.value)


def test_no_way_at_all(url: str) -> None:
    with pytest.raises(HostError, match="no key file, no agent and no password were there"):
        open_ssh(parse_host(url), accept_new=True)
