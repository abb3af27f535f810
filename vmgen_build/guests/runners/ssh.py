"""Commands on another host, over one ssh connection (RFC 4254 sessions, by paramiko)."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vmgen_build.errors import HostError
from vmgen_build.guests.runners.model import ConnectionLost
from vmgen_build.guests.runners.process import Process, ProcessRunner, named
from vmgen_build.guests.runners.stream import Marked
from vmgen_build.host.programs import SYSTEM_FOLDERS
from vmgen_build.limits import SSH_WINDOW

if TYPE_CHECKING:
    import paramiko

KEEPALIVE = 15.0
"""Seconds between questions that the server must answer."""
DEAD_AFTER = 45.0
"""Seconds without an answer after which the connection is cut."""
OPEN_TIMEOUT = 30.0
WINDOW = 8 << 20
"""Bytes that a command may write before we have read them; the memory that a stream takes at most."""

MARK = "vmgen-process-group "

SHIM = (
    f"PATH=$PATH:{SYSTEM_FOLDERS} LC_ALL=C; export PATH LC_ALL; exec 3>&2 2>/dev/null; "
    """timeout -k 5 1 true && kill='-k 5' || kill=; (exec 2>&3 3>&-; exec timeout $kill "$@"); code=$?; """
    """[ "$code" -lt 125 ] || command -v timeout >/dev/null || """
    """echo "this host lacks 'timeout' of coreutils" >&3; exit $code"""
)
"""Runs its arguments under timeout(1), whose process id is that of the command's process group, and turns the end by a
signal into 128 + n, which an ssh server would give by name alone. coreutils before 8.5 (EL 6) have no timeout -k."""

INNER = f'echo "{MARK}$PPID" >&2; exec "$@"'
"""Writes the process group to standard error, before anything else."""

KILL = (
    'kill -s TERM -- "-$1"; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do '
    'kill -s 0 -- "-$1" || exit 0; sleep 0.3; done; kill -s KILL -- "-$1"'
)


class SshRunner(ProcessRunner):
    """prefix: what makes a command root's, such as sudo -n. transports: the node's own, then those it goes through.
    dead_after: seconds without an answer after which the connection is cut; by default DEAD_AFTER."""

    def __init__(
        self, name: str, transports: Sequence[paramiko.Transport], about: str, dead_after: float | None = None
    ) -> None:
        self.name, self.about = name, about
        self.prefix: tuple[str, ...] = ()
        self._transports = tuple(transports)
        self._fault = ""
        limit = DEAD_AFTER if dead_after is None else dead_after
        threading.Thread(target=_keep_alive, args=(self._transports[0], limit), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._transports[0].is_active()

    def start(self, argv: Sequence[str], timeout: float | None = None) -> Process:
        command = ["sh", "-c", SHIM, "sh", _seconds(timeout), "sh", "-c", INNER, "sh", *argv]
        return SshProcess(self, named(argv), command)

    def open(self, what: str, command: Sequence[str], terminal: tuple[str, int, int] | None = None) -> paramiko.Channel:
        """A channel in which `command` runs. terminal: its kind, columns and lines, where it is to have one."""
        import paramiko

        channel: paramiko.Channel | None = None
        try:
            channel = self._transports[0].open_session(window_size=WINDOW, timeout=OPEN_TIMEOUT)
            self._limit(channel)
            channel.settimeout(OPEN_TIMEOUT)
            if terminal is not None:
                channel.get_pty(*terminal)
            channel.exec_command(shlex.join([*self.prefix, *command]))
            channel.settimeout(None)
            return channel
        except (paramiko.SSHException, EOFError, OSError) as error:
            if channel is not None:
                channel.close()
            if not self.alive:
                raise self.lost(what) from error
            raise HostError(
                f"{self.name} does not run '{what}': {error or type(error).__name__}; its sshd_config may limit"
                " sessions (MaxSessions) or force a command"
            ) from error

    def _limit(self, channel: paramiko.Channel) -> None:
        """The server must keep to the window (RFC 4254, 5.2), which paramiko grants and does not look after."""
        pipes: tuple[Any, Any] = (channel.in_buffer, channel.in_stderr_buffer)
        for pipe in pipes:

            def feed(data: bytes, pipe: Any = pipe, original: Callable[[bytes], None] = pipe.feed) -> None:
                if len(pipe) + len(data) <= SSH_WINDOW.amount:
                    original(data)
                    return
                self._fault = f"it sends more than was asked for: {SSH_WINDOW.exceeded}"
                self._transports[0].close()

            pipe.feed = feed

    def lost(self, what: str) -> ConnectionLost:
        if self._fault:
            return ConnectionLost(f"the connection to {self.name} was ended while '{what}' ran there: {self._fault}")
        return ConnectionLost(
            f"the connection to {self.name} was cut while '{what}' ran there; look whether the host and the network"
            " between are up, then start the same command again: what was finished is kept"
        )

    def close(self) -> None:
        for transport in self._transports:
            with suppress(Exception):
                transport.close()


def _seconds(timeout: float | None) -> str:
    """As timeout(1) takes it: 0 is no limit. Whole seconds have no fraction, which EL 6 does not know."""
    return "0" if timeout is None else f"{max(timeout, 0.01):.2f}".removesuffix(".00")


def _keep_alive(transport: paramiko.Transport, dead_after: float) -> None:
    """Ask the server now and then, and cut the connection where it does not answer: nothing else finds that out."""
    while transport.is_active():
        time.sleep(KEEPALIVE)
        cut = threading.Timer(dead_after - KEEPALIVE, transport.close)
        cut.daemon = True
        cut.start()
        with suppress(Exception):
            transport.global_request("keepalive@openssh.com", wait=True)
        cut.cancel()


class SshProcess(Process):
    grace = 10.0

    def __init__(self, runner: SshRunner, what: str, command: Sequence[str]) -> None:
        super().__init__(what)
        self._runner = runner
        self._channel = runner.open(what, command)
        self._group = Marked(MARK.encode(), f"'{what}' on {runner.name}")
        self._marked = threading.Event()
        self._fault: HostError | None = None

    def write(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError:
            if not self._runner.alive:
                raise self._runner.lost(self.what) from None
            raise BrokenPipeError from None

    def close_input(self) -> None:
        with suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def read_out(self, size: int) -> bytes:
        return self._checked(self._channel.recv(size))

    def read_err(self, size: int) -> bytes:
        while not self._marked.is_set():
            chunk = self._channel.recv_stderr(size)
            if not chunk:
                self._marked.set()
                return self._checked(self._group.rest())
            try:
                around = self._group.add(chunk)
            except HostError as error:
                self._fault = error
                self.close()
                raise
            if around is not None:
                self._marked.set()
                if around:
                    return around
        return self._checked(self._channel.recv_stderr(size))

    def _checked(self, chunk: bytes) -> bytes:
        if not chunk and self._fault is not None:
            raise self._fault
        if not chunk and not self._channel.exit_status_ready() and not self._runner.alive:
            raise self._runner.lost(self.what)
        return chunk

    def ended(self) -> bool:
        return self._channel.exit_status_ready()

    def wait(self, timeout: float | None) -> int | None:
        if not self._channel.status_event.wait(timeout):
            return None
        code = self._channel.recv_exit_status()
        if code >= 0:
            return code
        time.sleep(0.2)
        if self._runner.alive:
            return 128 + 9
        raise self._runner.lost(self.what)

    def kill(self) -> None:
        """By a session of its own: OpenSSH takes no signals for root's sessions, and none at all before 7.9."""
        self._marked.wait(2)
        number = str(self._group.number)
        if self._group.number and not self.ended() and self._runner.alive:
            with suppress(HostError):
                other = self._runner.open(f"kill {number}", ["sh", "-c", KILL, "sh", number])
                other.status_event.wait(15)
                other.close()

    def close(self) -> None:
        with suppress(Exception):
            self._channel.close()
