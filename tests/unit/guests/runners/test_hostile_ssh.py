"""Issue 8, item 15 (nodes): an ssh server that keeps to no limit, over real sockets."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.runners import ConnectionLost, connect, parse_host
from vmgen_build.guests.runners.ssh import MARK
from vmgen_build.limits import SSH_WINDOW


class Server(paramiko.ServerInterface):
    """Lets anybody in, and answers a command by what `write` does with its channel."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=flood, args=(channel,), daemon=True).start()
        return True


def flood(channel: paramiko.Channel) -> None:
    """All that it can, whatever window it was given (RFC 4254, 5.2)."""
    channel.sendall_stderr(f"{MARK}4711\n".encode())
    channel.out_window_size = 1 << 40
    with suppress(OSError, EOFError):
        for _ in range(10 * SSH_WINDOW.amount >> 15):
            channel.sendall(bytes(1 << 15))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VMGEN_SSH_KNOWN_HOSTS", str(tmp_path / "known"))
    monkeypatch.setenv("VMGEN_SSH_PASSWORD", "x")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("VMGEN_SSH_KEY", raising=False)


@pytest.fixture()
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_issue_8_15_a_packet_has_a_limit(listening: socket.socket) -> None:
    """paramiko reads as much as a packet's header says, up to 4 GB, before anybody has logged in."""

    def serve() -> None:
        with listening.accept()[0] as wire:
            wire.sendall(b"SSH-2.0-x\r\n" + struct.pack(">I", 0x7FFFFFFC) + bytes(1 << 16))
            wire.recv(1 << 16)

    threading.Thread(target=serve, daemon=True).start()
    url = f"ssh://127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(HostError, match=r"a packet of .* bytes: .*'ssh-packet'"), connect(parse_host(url)):
        pass


def test_issue_8_15_a_server_that_ignores_the_window_is_cut_off(listening: socket.socket) -> None:
    """It once filled the memory of a client that reads slowly."""

    def serve() -> None:
        transport = paramiko.Transport(listening.accept()[0])
        transport.add_server_key(paramiko.ECDSAKey.generate())
        transport.start_server(server=Server())
        transport.join()

    threading.Thread(target=serve, daemon=True).start()
    url = f"ssh://127.0.0.1:{listening.getsockname()[1]}"
    with (
        connect(parse_host(url), accept_new=True, need_root=False) as runner,
        pytest.raises(ConnectionLost, match=r"sends more than was asked for: .*'ssh-window'"),
        runner.read(["cat"]) as stream,
    ):
        stream.read(1)
        deadline = time.monotonic() + 60
        while runner.alive and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.05)
        while stream.read(1 << 20):
            pass
