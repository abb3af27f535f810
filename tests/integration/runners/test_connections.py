"""What only a connection can do: it is cut, refused, let in by several ways, and left by a client that was killed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import Run
from tests.integration.sshd import Sshd, make_key, sshd
from vmgen_build.errors import HostError
from vmgen_build.guests.runners import ConnectionLost, Runner, connect, parse_host
from vmgen_build.guests.runners import ssh as ssh_module


def during(server: Sshd, act: Callable[[], None], after: float = 0.5) -> threading.Timer:
    timer = threading.Timer(after, act)
    timer.start()
    return timer


def test_a_cut_connection(server: Sshd, remote: Runner) -> None:
    during(server, server.cut)
    began = time.monotonic()
    with pytest.raises(ConnectionLost) as error:
        remote.run(["sleep", "3.21"], data=b"canary")
    assert time.monotonic() - began < 2
    assert f"the connection to {server.url} was cut while 'sleep 3.21' ran there" in str(error.value)
    assert "canary" not in str(error.value)
    with pytest.raises(ConnectionLost):
        remote.run(["true"])
    with connect(parse_host(server.url)) as again:
        assert again.run(["true"]).code == 0


def test_a_connection_cut_in_streams(server: Sshd) -> None:
    with connect(parse_host(server.url)) as runner:
        during(server, server.cut)
        with pytest.raises(ConnectionLost), runner.read(["sh", "-c", "echo x; sleep 3.22"]) as stream:
            stream.read()
    with connect(parse_host(server.url)) as runner, open("/dev/zero", "rb") as endless:
        during(server, server.cut)
        with pytest.raises(ConnectionLost):
            runner.run(["wc", "-c"], data=endless)


def test_a_connection_cut_while_holding(server: Sshd, tmp_path: Path) -> None:
    """What is attached sees the end of its input, though its client never came back."""
    with (
        connect(parse_host(server.url)) as runner,
        pytest.raises(ConnectionLost),
        runner.attach(["sh", "-c", f"echo ready; cat >/dev/null; echo x >{tmp_path}/cleaned"]) as attached,
    ):
        assert attached.receive(10) == "ready"
        server.cut()
        attached.receive(5)
    time.sleep(0.5)
    assert (tmp_path / "cleaned").exists()


def test_a_server_that_answers_no_more(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "KEEPALIVE", 0.3)
    monkeypatch.setattr(ssh_module, "DEAD_AFTER", 0.9)
    with connect(parse_host(server.url)) as runner:
        during(server, server.freeze)
        began = time.monotonic()
        try:
            with pytest.raises(ConnectionLost):
                runner.run(["sleep", "8.23"])
        finally:
            server.cut()
        assert time.monotonic() - began < 5


def refused(url: str, **options: bool) -> str:
    with pytest.raises(HostError) as error, connect(parse_host(url), **options):
        pass
    return str(error.value)


def test_what_hinders_a_connection(server: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "nothing listens at 127.0.0.1 port 1;" in refused("ssh://127.0.0.1:1")
    assert "there is no host named 'no-such-host.invalid'" in refused("ssh://no-such-host.invalid")
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=lambda: other.accept()[0].sendall(b"220 mail\r\n" * 200), daemon=True).start()
        assert "does not speak ssh" in refused(f"ssh://127.0.0.1:{other.getsockname()[1]}")
    monkeypatch.setenv("VMGEN_SSH_KEY", str(make_key(tmp_path / "stranger")))
    message = refused(server.url)
    assert "lets 'root' in by nothing that was tried" in message
    assert f"key {tmp_path}/stranger" in message
    monkeypatch.setenv("VMGEN_SSH_PASSWORD", "canary")
    assert "a password, which that host does not take" in (message := refused(server.url))
    assert "canary" not in message


def test_a_host_key_is_accepted_once(server: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = tmp_path / "known"
    monkeypatch.setenv("VMGEN_SSH_KNOWN_HOSTS", str(known))
    assert "is not known: ssh-ed25519 SHA256:" in refused(server.url)
    with connect(parse_host(server.url), accept_new=True) as runner:
        assert "SHA256:" in runner.about
    with connect(parse_host(server.url)):
        pass
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{server.port} {other[0]} {other[1]}\n")
    assert f"{known}:1" in refused(server.url, accept_new=True)


def test_a_known_key_of_another_kind(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a server with several keys, the one that is known is asked for."""
    rsa = make_key(tmp_path / "rsa", "rsa")
    with sshd(tmp_path / "two", [f"HostKey {rsa}"]) as two:
        kind, key, *_ = rsa.with_suffix(".pub").read_text().split()
        two.known_hosts.write_text(f"[127.0.0.1]:{two.port} {kind} {key}\n")
        for name, value in two.environ.items():
            monkeypatch.setenv(name, value)
        with connect(parse_host(two.url)) as runner:
            assert "ssh-rsa SHA256:" in runner.about


def test_ways_in(server: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key of ~/.ssh/config, one of the agent, and a host on the way."""
    monkeypatch.delenv("VMGEN_SSH_KEY")
    (tmp_path / ".ssh").mkdir()
    config = tmp_path / ".ssh" / "config"
    config.write_text(
        f"Host *\n  IdentityFile {server.key}\n  Port {server.port}\n"
        "Host node\n  HostName 127.0.0.1\nHost far\n  HostName 127.0.0.1\n  ProxyJump node\n"
    )
    for url in ("ssh://node", "ssh://far"):
        with connect(parse_host(url)) as runner:
            assert runner.name == f"ssh://root@{url[6:]}:{server.port}"
            assert runner.run(["echo", "in"]).out == "in\n"
    config.unlink()
    socket_file = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket_file], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_file))
        while not socket_file.exists():
            time.sleep(0.02)
        subprocess.run(["ssh-add", "-q", server.key], check=True)
        with connect(parse_host(server.url)) as runner:
            assert runner.run(["echo", "in"]).out == "in\n"
    finally:
        agent.terminate()
        agent.wait()


def test_who_is_not_root(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs sh -c "$SSH_ORIGINAL_COMMAND"'
    for command, message in (
        (nobody, "is not root there, and sudo wants a password"),
        ("echo hi", "must print nothing"),
    ):
        with sshd(tmp_path / command[:4], [f"ForceCommand {command}"], {"HOME": "/"}) as other:
            for name, value in other.environ.items():
                monkeypatch.setenv(name, value)
            assert message in refused(other.url)


def test_doctor(server: Sshd, vmgen: Run) -> None:
    ran = vmgen("doctor", "--host", server.url, "--json")
    found = {f["what"]: f for f in map(json.loads, ran.stdout.splitlines())}
    assert found["connection"]["found"].startswith(f"{server.url} (OpenSSH_")
    assert found["root"]["good"]
    assert found["clock"]["found"] == "as ours"
    assert ("lxc" in found) or ("OpenVZ" in found) or not found["containers"]["good"]
    assert ran.returncode == (0 if all(f["good"] for f in found.values()) else 1)


def test_a_command_costs_little(remote: Runner) -> None:
    times = []
    for _ in range(20):
        began = time.monotonic()
        remote.run(["true"])
        times.append(time.monotonic() - began)
    assert sorted(times)[10] < 0.2


def test_nothing_is_left_of_a_client_that_was_killed(server: Sshd, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom vmgen_build.guests.runners import connect, parse_host\n"
        "with connect(parse_host(sys.argv[1])) as runner, runner.attach(['sh', '-c', sys.argv[2]]) as attached:\n"
        "    print(attached.receive(10), flush=True)\n    time.sleep(60)\n"
    )
    for url in ("local", server.url):
        mark = tmp_path / f"cleaned-{len(url)}"
        script = f"echo ready; cat >/dev/null; echo x >{mark}"
        child = subprocess.Popen([sys.executable, "-c", code, url, script], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.kill()
        child.wait()
        child.stdout.close()
        end = time.monotonic() + 5
        while not mark.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert mark.exists()
