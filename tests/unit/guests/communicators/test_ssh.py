"""A machine by ssh: a real sshd(8) on loopback stands for it."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sshd import Sshd, make_key, sshd
from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.communicators.ssh import HostKey, NotYet, Refused, SshCommunicator, log_in
from vmgen_build.secret import Secret

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd lets root in, as root alone")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture(scope="module")
def machine(server: Sshd) -> Iterator[SshCommunicator]:
    opened = log_in(("127.0.0.1", server.port), by_key(server.key), HostKey())
    yield opened
    opened.close()


def by_key(key: Path) -> GuestLogin:
    return GuestLogin("root", key=Secret(key.read_text()))


def test_a_script_runs_whole_and_reads_no_input_of_ours(machine: SshCommunicator) -> None:
    ran = machine.run("echo one\ncat\necho two >&2\nexit 3\n", 30)
    assert (ran.code, ran.out) == (3, "one\ntwo\n")


def test_what_sudo_writes_is_no_output(tmp_path: Path) -> None:
    """It warns where the host's own name is not known, which a step has just changed."""
    lines = ['ForceCommand echo "sudo: unable to resolve host" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"']
    with sshd(tmp_path / "sshd", lines) as server:
        machine = log_in(("127.0.0.1", server.port), by_key(server.key), HostKey())
        assert machine.run("echo one\n", 30).out == "one\n"
        assert machine.run("exit 3\n", 30).code == 3
        machine.close()


def test_a_script_stands_in_no_argument(machine: SshCommunicator, server: Sshd) -> None:
    mark = "canary-in-a-script"
    found: list[int] = []
    late = threading.Timer(0.7, lambda: found.extend(server.running(mark)))
    late.start()
    machine.run(f": {mark}\nsleep 1.5\n", 30)
    late.join()
    assert found == []


def test_what_takes_too_long_is_ended(machine: SshCommunicator) -> None:
    assert machine.run("sleep 600", 1).code == TIMED_OUT
    assert machine.run("echo there", 30).out == "there\n"


def test_files_go_there_and_back(machine: SshCommunicator, tmp_path: Path) -> None:
    local, there, back = tmp_path / "local", tmp_path / "a b'c", tmp_path / "back"
    local.write_bytes(os.urandom(300_000))
    machine.put(local, str(there), 0o640)
    assert there.stat().st_mode & 0o777 == 0o640
    machine.get(str(there), back)
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in (local, there, back)}
    assert len(digests) == 1
    machine.delete(str(there))
    assert not there.exists()
    with pytest.raises(BuildError, match=r"cannot write .*/none/x in the machine"):
        machine.put(local, f"{tmp_path}/none/x")
    with pytest.raises(BuildError, match="No such file"):
        machine.get(str(there), back)


def test_a_wrong_key_and_a_wrong_password_are_named(server: Sshd, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not let 'root' in: the key of login_key is wrong"):
        log_in(("127.0.0.1", server.port), by_key(make_key(tmp_path / "other")), HostKey())
    with pytest.raises(Refused, match="lets 'root' in by publickey alone, and the password of login_password is none"):
        log_in(("127.0.0.1", server.port), GuestLogin("root", Secret("canary-6")), HostKey())


def test_a_wrong_password_where_passwords_are_taken(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", ["PasswordAuthentication yes"]) as server:
        with pytest.raises(Refused, match="'nobody' in: the password of login_password is wrong") as error:
            log_in(("127.0.0.1", server.port), GuestLogin("nobody", Secret("canary-6")), HostKey())
        assert "canary-6" not in str(error.value) and "canary-6" not in server.log()


def test_a_key_that_is_none_is_named(server: Sshd, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", phrase="a phrase")
    with pytest.raises(BuildError, match=r"login_key is encrypted: set .VMGEN_SSH_PASSPHRASE"):
        log_in(("127.0.0.1", server.port), by_key(locked), HostKey())
    broken = GuestLogin("root", key=Secret("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"))
    with pytest.raises(BuildError, match="login_key cannot be used: it is none of ed25519, ecdsa or rsa"):
        log_in(("127.0.0.1", server.port), broken, HostKey())


def test_the_key_of_the_machine_is_taken_once(server: Sshd, tmp_path: Path) -> None:
    key = HostKey()
    log_in(("127.0.0.1", server.port), by_key(server.key), key).close()
    log_in(("127.0.0.1", server.port), by_key(server.key), key).close()
    with sshd(tmp_path / "other") as other, pytest.raises(BuildError, match="another ssh host key than before: ssh-ed"):
        log_in(("127.0.0.1", other.port), by_key(other.key), key)


def test_nothing_that_answers_is_waited_for(server: Sshd) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NotYet, match="is refused"):
            log_in(free.getsockname(), by_key(server.key), HostKey())


def test_what_hangs_up_or_speaks_otherwise_is_waited_for(server: Sshd) -> None:
    """QEMU accepts a connection, and ends it where nothing listens in the machine."""
    for words, message in ((b"", "is refused"), (b"220 ftp\r\n" * 400, "does not speak ssh")):
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve(words: bytes = words, listening: socket.socket = listening) -> None:
                wire, _ = listening.accept()
                with wire:
                    wire.sendall(words)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with pytest.raises(NotYet, match=message):
                log_in(listening.getsockname(), by_key(server.key), HostKey())
            thread.join()


def test_a_connection_that_is_cut_is_an_error(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        machine = log_in(("127.0.0.1", server.port), by_key(server.key), HostKey())
        server.cut()
        with pytest.raises(BuildError, match="was cut"):
            machine.run("true", 10)


@pytest.mark.skipif(subprocess.run(["sh", "-c", "command -v sudo"], capture_output=True).returncode == 0, reason="sudo")
def test_a_user_who_is_not_root_needs_sudo(tmp_path: Path) -> None:
    """On a host without sudo, nobody can become root by it."""
    lines = ['ForceCommand case $SSH_ORIGINAL_COMMAND in *"id -u"*) echo 1000 ;; esac; exit 0']
    refused = pytest.raises(BuildError, match="login = root, or allow that user 'sudo' without a password")
    with sshd(tmp_path / "sshd", lines) as server, refused:
        log_in(("127.0.0.1", server.port), by_key(server.key), HostKey())
