"""The simulator as a process, certificates for it, and a line to it that can be cut."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SOURCES = sorted(Path(__file__).with_name("server").glob("*.go"))
LIBRARY = Path("/usr/share/gocode/src/github.com/vmware/govmomi")
PACKAGES = "golang-go and golang-github-vmware-govmomi-dev"


@dataclass(frozen=True)
class Simulator:
    """log: the file in which it tells of uploads, and with -trace of all that is said."""

    host: str
    port: int
    user: str
    password: str
    log: Path
    pid: int


def built(cache: Path) -> Path:
    """Built offline, in a minute; kept in the tests' cache for as long as its sources stay the same."""
    assert LIBRARY.is_dir(), f"the vSphere simulator needs the packages {PACKAGES}: run make test-packages"
    digest = hashlib.sha256()
    for file in (*SOURCES, *sorted(LIBRARY.glob("simulator/*.go"))):
        digest.update(file.read_bytes())
    goal = cache / f"vsphere-simulator-{digest.hexdigest()[:16]}"
    if not goal.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder, "simulator")
            own = {"GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off", "GOPATH": "/usr/share/gocode"}
            command = ["go", "build", "-o", made, *SOURCES]
            subprocess.run(command, env=os.environ | own | {"GOCACHE": folder}, check=True)
            made.rename(goal)
    return goal


@contextmanager
def started(program: Path, log: Path, *options: str, password: str = "pass") -> Iterator[Simulator]:
    """It ends with its standard input."""
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [program, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"SIMULATOR_PASSWORD": password},
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            url = urlsplit(process.stdout.readline().decode().strip())
            assert url.hostname and url.port, log.read_text()
            yield Simulator(url.hostname, url.port, url.username or "", password, log, process.pid)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def make_authority(folder: Path, name: str) -> Path:
    """The certificate of an authority, PEM; its key lies beside it, as NAME.key."""
    made = folder / f"{name}.pem"
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-keyout", made.with_suffix(".key"), "-out", made),
        *("-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign"),
    )
    return made


def make_certificate(authority: Path, name: str, alternative: str) -> Path:
    """Certificate and key of a server, PEM. alternative: as IP:127.0.0.2 or DNS:vcenter."""
    folder = authority.parent
    key, request, made = (folder / f"{name}{end}" for end in (".key", ".csr", ".crt"))
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", key, "-out", request, "-addext", f"subjectAltName={alternative}"),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key")),
        *("-days", "2", "-copy_extensions", "copy", "-out", made),
    )
    whole = folder / f"{name}.pem"
    whole.write_bytes(made.read_bytes() + key.read_bytes())
    return whole


class Line:
    """A line to a server, on a port of 127.0.0.2's own, that can be cut. connections: that were made over it."""

    def __init__(self, port: int) -> None:
        self._goal = port
        self._server = socket.create_server(("127.0.0.2", 0))
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._worker = threading.Thread(target=self._accept, daemon=True)
        self._worker.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self.connections += 1
                far = socket.create_connection(("127.0.0.2", self._goal))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """All connections that there are; new ones may be made."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
