"""Commands on this host and by ssh on a real sshd: the same for both, then what only a connection can do."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Run
from tests.integration.sshd import Sshd, make_key, sshd
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.runners import ConnectionLost, Runner, connect, parse_host
from vmgen_build.guests.runners import ssh as ssh_module

BIG = 200_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, environment={"HOME": str(folder)}) as running:
        yield running


@pytest.fixture(autouse=True)
def client(server: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user of whom no own key, agent or configuration is there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SSH_AUTH_SOCK", "VMGEN_SSH_PASSWORD", "VMGEN_SSH_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def remote(server: Sshd) -> Iterator[Runner]:
    with connect(parse_host(server.url)) as runner:
        yield runner


@pytest.fixture(params=["local", "ssh"])
def runner(request: pytest.FixtureRequest, server: Sshd) -> Iterator[Runner]:
    with connect(parse_host("local" if request.param == "local" else server.url)) as runner:
        yield runner


def gone(pattern: str, seconds: float = 3.0) -> bool:
    """Whether no process has `pattern` in its command line, soon."""
    end = time.monotonic() + seconds
    while found := subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode == 0:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return not found


def test_streams_codes_and_surroundings(runner: Runner) -> None:
    done = runner.run(["sh", "-c", 'echo "$1 $LC_ALL"; echo wrong >&2; exit 3', "sh", 'it\'s $HOME; "x" \\ *\n'])
    assert (done.code, done.err) == (3, "wrong\n")
    assert done.out == 'it\'s $HOME; "x" \\ *\n C\n'
    assert runner.run(["sh", "-c", "kill -9 $$"]).code == 137
    assert runner.run(["sh", "-c", "kill -TERM $$"]).code == 143
    assert runner.run(["no-such-program"]).code == 127
    assert runner.run(["sh", "-c", r"printf '\303\244\377'"]).out == "ä\ufffd"
    assert runner.run(["sh", "-c", "command -v ldconfig"]).code == 0


def test_large_streams_at_once(runner: Runner) -> None:
    data = os.urandom(8_000_000)
    done = runner.run(["sh", "-c", "tee /dev/stderr"], data=data, timeout=60)
    assert done.code == 0
    assert done.out == done.err == data[-(1 << 20) :].decode(errors="replace")
    assert runner.run(["wc", "-c"], data=io.BytesIO(data)).out.strip() == str(len(data))
    assert runner.run(["true"], data=data).code == 0


def test_lines_come_as_they_are_written(runner: Runner) -> None:
    came: list[tuple[str, float]] = []
    began, thread = time.monotonic(), threading.get_ident()

    def output(line: str) -> None:
        assert threading.get_ident() == thread
        came.append((line, time.monotonic() - began))

    done = runner.run(["sh", "-c", "echo one; echo two >&2; sleep 1; printf three"], output=output)
    assert sorted(line for line, _ in came) == ["one", "three", "two"]
    assert [when < 0.9 for line, when in came if line != "three"] == [True, True]
    assert (done.out, done.err) == ("one\nthree", "two\n")


def test_an_output_that_fails_ends_the_command(runner: Runner) -> None:
    def output(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="now"):
        runner.run(["sh", "-c", "echo now; exec sleep 98.76"], output=output)
    assert gone("sleep 98.76")


def test_a_source_that_fails_ends_the_command(runner: Runner) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        runner.run(["sh", "-c", "cat; sleep 98.75"], data=Broken(b"x"), timeout=20)


def test_timeout_ends_all_children(runner: Runner) -> None:
    began = time.monotonic()
    done = runner.run(["sh", "-c", "echo begun; sleep 98.74 & sleep 98.74; true"], timeout=1)
    assert (done.code, done.out) == (124, "begun\n")
    assert time.monotonic() - began < 5
    assert gone("sleep 98.74")


def test_timeout_of_what_ignores_sigterm(runner: Runner) -> None:
    done = runner.run(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], timeout=0.5)
    assert done.code == 124


def test_a_daemon_left_behind_does_not_hold_us(runner: Runner) -> None:
    began = time.monotonic()
    done = runner.run(["sh", "-c", "setsid sleep 30.31 & echo done"], timeout=25)
    try:
        assert (done.code, done.out) == (0, "done\n")
        assert time.monotonic() - began < 15
    finally:
        for pid in subprocess.run(["pgrep", "-f", "sleep 30.31"], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGTERM)


def test_read(runner: Runner) -> None:
    with runner.read(["cat"], data=b"through\n") as stream:
        assert stream.read() == b"through\n"
    with (
        pytest.raises(BuildError, match=r"(?s)exit code 3.*no room"),
        runner.read(["sh", "-c", "echo part; echo no room >&2; exit 3"]) as stream,
    ):
        assert stream.read() == b"part\n"
    with runner.read(["sh", "-c", "yes vmgen-98.73"]) as stream:
        assert stream.read(12) == b"vmgen-98.73\n"
    assert gone("yes vmgen-98.73")


def test_hold(runner: Runner) -> None:
    script = "echo ready; read word; echo got $word; cat >/dev/null; echo cleaned; exit 4"
    with runner.attach(["sh", "-c", script]) as attached:
        assert attached.receive(10) == "ready"
        attached.send("it's")
        assert attached.receive(10) == "got it's"
        with pytest.raises(TimeoutError):
            attached.receive(0.1)
    done = attached.end()
    assert (done.code, done.out) == (4, "cleaned\n")


def test_hold_cleans_up_after_an_exception(runner: Runner, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        runner.attach(["sh", "-c", f"echo ready; cat >/dev/null; sleep 0.5; echo x >{tmp_path}/cleaned"]) as attached,
    ):
        assert attached.receive(10) == "ready"
        raise KeyboardInterrupt
    assert (tmp_path / "cleaned").exists()


def test_hold_of_what_ended(runner: Runner) -> None:
    with runner.attach(["sh", "-c", "echo no lock >&2; exit 5"]) as attached:
        assert attached.receive(10) is None
        with pytest.raises(BuildError, match=r"(?s)exit code 5.*no lock"):
            for _ in range(20):
                attached.send("word")
                time.sleep(0.05)


def test_several_at_once(runner: Runner) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append(runner.run(["sh", "-c", f"sleep 0.3; echo {n}"]).out))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [f"{n}\n" for n in range(6)]


MEMORY = f"""
import pathlib, sys
from vmgen_build.guests.runners import connect, parse_host
with connect(parse_host(sys.argv[1])) as runner:
    with runner.read(["head", "-c", "{BIG}", "/dev/zero"]) as stream:
        total = sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 18), b""))
    with runner.read(["head", "-c", "{BIG}", "/dev/zero"]) as stream:
        counted = runner.run(["wc", "-c"], data=stream).out
peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(total, int(counted), int(peak) // 1024)
"""


@pytest.mark.parametrize("where", ["local", "ssh"])
def test_streams_take_constant_memory(where: str, server: Sshd) -> None:
    url = "local" if where == "local" else server.url
    ran = subprocess.run([sys.executable, "-c", MEMORY, url], capture_output=True, text=True, timeout=120)
    total, counted, peak = map(int, ran.stdout.split())
    assert (total, counted) == (BIG, BIG)
    assert peak < 100, f"{peak} MiB"


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
