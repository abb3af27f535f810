"""A real sshd(8) on loopback: its own port, host key and authorized key, all in a folder of the test's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = "/usr/sbin/sshd"
PRIVSEP = Path("/run/sshd")


def make_key(file: Path, kind: str = "ed25519", phrase: str = "") -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", phrase, "-C", "test", "-f", file], check=True, stdin=subprocess.DEVNULL
    )
    return file


class Sshd:
    """Started by the context manager `sshd`.

    key: the private key that lets root in. url: for --host. known_hosts: holds the server's key.
    environ: what a client needs in its environment, on top of what it has.
    """

    def __init__(
        self,
        folder: Path,
        lines: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder, self._prefix = folder, tuple(prefix)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.host_key = make_key(folder / "host_key")
        self.key = make_key(folder / "key")
        self.known_hosts = folder / "known_hosts"
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.key.with_suffix(".pub").read_text())
        kind, key, *_ = self.host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        self.url = f"ssh://root@127.0.0.1:{self.port}"
        self.environ = {"VMGEN_SSH_KEY": str(self.key), "VMGEN_SSH_KNOWN_HOSTS": str(self.known_hosts)}
        self._log = folder / "sshd.log"
        settings = " ".join(f'"{name}={value}"' for name, value in (environment or {}).items())
        (folder / "sshd_config").write_text(
            "\n".join(
                [
                    *lines,  # the first of two settings of one name counts (sshd_config(5))
                    f"ListenAddress 127.0.0.1:{self.port}",
                    f"HostKey {self.host_key}",
                    f"AuthorizedKeysFile {self.authorized}",
                    "PermitRootLogin yes",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "UsePAM no",
                    "StrictModes no",
                    "PidFile none",
                    *([f"SetEnv {settings}"] if settings else []),
                    "",
                ]
            )
        )
        self._server = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        PRIVSEP.mkdir(mode=0o755, exist_ok=True)
        with self._log.open("ab") as log:
            server = subprocess.Popen(
                [*self._prefix, PROGRAM, "-D", "-e", "-f", self.folder / "sshd_config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return server
            if server.poll() is not None:
                break
            time.sleep(0.05)
        server.kill()
        raise AssertionError(f"sshd did not start:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def connections(self) -> list[int]:
        """The process ids of the servers of single connections, those of their commands not among them."""
        found, parents = [], [self._server.pid]
        while parents:
            children = [int(word) for pid in parents for word in _children(pid)]
            parents = [pid for pid in children if _program(pid).startswith("sshd")]
            found += parents
        return found

    def running(self, word: str) -> list[int]:
        """Of the processes that were started over it, those that have this word among their arguments."""
        found, parents = [], [self._server.pid]
        while parents:
            parents = [int(child) for pid in parents for child in _children(pid)]
            found += [pid for pid in parents if word in _arguments(pid)]
        return found

    def cut(self) -> None:
        """Cut all connections at once, as a fallen host would; new ones are taken all the same."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Let nothing answer on the connections that are open; `cut` or `stop` ends them."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        for pid in self.connections():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        self.cut()
        self._server.terminate()
        self._server.wait(10)


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


@contextmanager
def sshd(
    folder: Path, lines: Sequence[str] = (), environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Sshd]:
    """lines: of sshd_config, before the usual ones. environment: of the commands that run there, such as PATH.

    prefix: what starts sshd elsewhere, such as nsenter with a mount namespace; it must exec its arguments.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Sshd(folder, lines, environment, prefix)
    try:
        yield server
    finally:
        server.stop()
