"""A machine of the user's by ssh: who it is, logging in, and what is run there. The key that it shows first is its own
from then on, as long as the machine lives."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.errors import TIMED_OUT, BuildError, HostError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.communicators.scripts import SCRIPT, putting
from vmgen_build.guests.machines.model import PATIENCE
from vmgen_build.guests.model import Communicator, Ran, no_answer
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.runners.hostkeys import fingerprint
from vmgen_build.guests.runners.ssh import SshRunner
from vmgen_build.guests.runners.sshconnect import become_root, transport_on
from vmgen_build.host import terminal
from vmgen_build.limits import GUEST_FILE

if TYPE_CHECKING:
    import paramiko

ANSWER = 10.0
"""Seconds that sshd may take to say who it is, once it runs. QEMU accepts connections long before."""

NAME = "the machine"

Address = tuple[str, int]
"""Host and port."""

REFUSED = 45.0
"""Seconds for which a login that is refused is tried again: while a system starts it may let nobody in (nologin(8)),
and its users may still be made."""

ROOT = "steps run as root; write login = root, or allow that user 'sudo' without a password (NOPASSWD in sudoers)"


class NotYet(Exception):
    """Nothing answers yet. The text says what was seen."""


class Refused(BuildError):
    """The machine answers, and lets this user in by nothing that we have."""


class HostKey:
    """The key of one machine, taken on first sight."""

    def __init__(self) -> None:
        self._key: tuple[str, bytes] | None = None

    def check(self, kind: str, key: bytes) -> None:
        """Raises BuildError where it is not the one of before."""
        if self._key is None:
            self._key = kind, key
        elif self._key != (kind, key):
            before = f"{self._key[0]} {fingerprint(self._key[1])}"
            raise BuildError(
                f"{NAME} shows another ssh host key than before: {kind} {fingerprint(key)}, and not {before}; something"
                " in it makes new keys while it runs"
            )

    @property
    def kinds(self) -> frozenset[str]:
        """Of keys that the machine is asked for."""
        kind = self._key[0] if self._key else ""
        return frozenset({kind, *(("rsa-sha2-256", "rsa-sha2-512") if kind == "ssh-rsa" else ())} - {""})


def log_in(address: Address, login: GuestLogin, host_key: HostKey) -> SshCommunicator:
    """By sshd at this address and port.

    Raises NotYet where nothing speaks ssh there, Refused, BuildError where it is another machine, or its user cannot
    become root.
    """
    with ExitStack() as undo:
        transport = undo.enter_context(closing(_opened(address, host_key)))
        with _reported():
            _authenticate(transport, login)
            runner = SshRunner(f"{login.name} of {NAME}", [transport], "", PATIENCE)
            become_root(runner, ROOT)
        undo.pop_all()
    return SshCommunicator(runner)


class Attempts:
    """To log in. reason: why the last one failed."""

    def __init__(self, address: Address, login: GuestLogin, host_key: HostKey) -> None:
        self._address, self._login, self._host_key = address, login, host_key
        self._in: SshCommunicator | None = None
        self._refused_since: float | None = None
        self.reason = "nothing answers on port 22"

    def answers(self) -> bool | None:
        """Whether sshd does, be it that it refuses us. Raises BuildError."""
        self.logged_in()
        return True if self._in is not None or self._refused_since is not None else None

    def logged_in(self) -> SshCommunicator | None:
        """Raises BuildError where there is no hope."""
        if self._in is not None:
            return self._in
        try:
            self._in = log_in(self._address, self._login, self._host_key)
        except NotYet as error:
            self.reason = str(error)
        except Refused as error:
            self.reason = str(error)
            self._refused_since = self._refused_since or time.monotonic()
            if time.monotonic() - self._refused_since > REFUSED:
                raise
        return self._in


def _opened(address: Address, host_key: HostKey) -> paramiko.Transport:
    import paramiko

    with ExitStack() as undo:
        transport = undo.enter_context(closing(transport_on(_answering(address), host_key.kinds)))
        try:
            transport.start_client(timeout=ANSWER * 3)
            key = transport.get_remote_server_key()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NotYet(
                f"what answers on port 22 does not speak ssh as expected: {shown(str(error)) or 'it hung up'}"
            ) from error
        host_key.check(key.get_name(), key.asbytes())
        undo.pop_all()
    return transport


def _answering(address: Address) -> socket.socket:
    """A connection on which somebody has begun to speak, with that still to be read. Raises NotYet."""
    with ExitStack() as undo:
        try:
            wire = undo.enter_context(closing(socket.create_connection(address, ANSWER)))
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            spoken = wire.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            raise NotYet(
                "nothing answers on port 22: the machine has no address by DHCP yet, or drops what comes"
            ) from None
        except OSError as error:
            raise NotYet(f"a connection to port 22 is refused ({error.strerror}): no sshd runs yet") from error
        if not spoken:
            raise NotYet("a connection to port 22 is refused: no sshd runs yet, or the machine has no address by DHCP")
        undo.pop_all()
    return wire


def _authenticate(transport: paramiko.Transport, login: GuestLogin) -> None:
    import paramiko

    what = "the key of login_key" if login.key else "the password of login_password"
    try:
        if login.key is not None:
            rest = transport.auth_publickey(login.name, _private_key(login.key.reveal()))
        else:
            rest = transport.auth_password(login.name, login.password.reveal() if login.password else "")
    except paramiko.BadAuthenticationType as error:
        taken = shown(", ".join(error.allowed_types))
        raise Refused(f"{NAME} lets '{login.name}' in by {taken} alone, and {what} is none of these") from error
    except paramiko.AuthenticationException as error:
        raise Refused(f"{NAME} does not let '{login.name}' in: {what} is wrong, or sshd refuses this user") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NotYet(f"the connection ended while logging in: {shown(str(error)) or 'it hung up'}") from error
    if rest:
        raise Refused(f"{NAME} wants more of '{login.name}' than {what}: {shown(', '.join(rest))}")


def _private_key(text: str) -> paramiko.PKey:
    """$VMGEN_SSH_PASSPHRASE opens one that is encrypted. Raises BuildError."""
    import paramiko

    from vmgen_build.host.environment import take

    phrase = take("VMGEN_SSH_PASSPHRASE")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), phrase.reveal() if phrase else None)
        except paramiko.PasswordRequiredException as error:
            raise BuildError("[hardware] login_key is encrypted: set $VMGEN_SSH_PASSPHRASE") from error
        except (paramiko.SSHException, ValueError):
            continue
    why = "the passphrase of $VMGEN_SSH_PASSPHRASE is wrong" if phrase else "it is none of ed25519, ecdsa or rsa"
    raise BuildError(f"[hardware] login_key cannot be used: {why}")


class SshCommunicator(Communicator):
    """runner: its commands are root's."""

    def __init__(self, runner: SshRunner) -> None:
        self.runner = runner

    def run(self, script: str, timeout: float | None = None) -> Ran:
        with _reported():
            done = self.runner.run(["sh", "-c", SCRIPT], data=script.encode(), timeout=timeout)
        if done.code == TIMED_OUT and not done.out:
            return no_answer(timeout)
        # The script's own errors are in its output; what else there is sudo has written, or the user's shell.
        return Ran(done.code, done.out or (done.err if done.code else ""))

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        with _reported(), local.open("rb") as file:
            done = self.runner.run(["sh", "-c", putting(remote, mode)], data=file)
        if done.code != 0:
            raise BuildError(f"cannot write {remote} in {NAME}: {shown(done.err)}")

    def get(self, remote: str, local: Path) -> None:
        left = GUEST_FILE.amount
        with _reported(), self.runner.read(["cat", "--", remote]) as stream, local.open("wb") as file:
            while chunk := stream.read(1 << 16):
                left -= len(chunk)
                if left < 0:
                    raise BuildError(f"{remote} of {NAME}: {GUEST_FILE.exceeded}")
                file.write(chunk)

    def delete(self, remote: str) -> None:
        with _reported():
            done = self.runner.run(["rm", "-rf", "--", remote])
        if done.code != 0:
            raise BuildError(f"cannot remove {remote} in {NAME}: {shown(done.err)}")

    def open_shell(self, command: str) -> None:
        """Run a command of sh on our own terminal. Raises BuildError where sshd gives none."""
        kind = os.environ.get("TERM", "dumb")
        with _reported():
            channel = self.runner.open("a shell", ["sh", "-c", command], terminal=(kind, *terminal.size()))
            with closing(channel):
                terminal.join(channel, resized=channel.resize_pty)

    def close(self) -> None:
        self.runner.close()


@contextmanager
def _reported() -> Iterator[None]:
    """A connection that is cut ends the build, and not the host's work."""
    try:
        yield
    except HostError as error:
        raise BuildError(str(error)) from error
