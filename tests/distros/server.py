"""A package mirror on loopback that counts what it is asked for, and fails as it is told."""

from __future__ import annotations

import fnmatch
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHUNK = 16384
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to an answer. status: another one, without content; cut: the connection ends after that many bytes;
    delay: seconds before each chunk of CHUNK bytes; content: sent in place of the file."""

    status: int = 0
    cut: int | None = None
    delay: float = 0.0
    content: bytes | None = None


@dataclass(slots=True)
class Mirror:
    """routes: start of a path, as "/fedora/" -> the folder that is served there. faults: pattern of a whole path
    (fnmatch) -> what happens. requests: paths in the order in which they were asked for."""

    address: str
    port: int
    routes: dict[str, Path]
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def asked(self, pattern: str) -> int:
        """How many times a path was asked for that fits."""
        return sum(fnmatch.fnmatchcase(path, pattern) for path in self.requests)

    def forget(self) -> None:
        """No faults, and no request was made."""
        self.faults.clear()
        self.requests.clear()

    def file(self, path: str) -> Path | None:
        for start, folder in self.routes.items():
            if path.startswith(start):
                found = (folder / path[len(start) :]).resolve()
                inside = found.is_relative_to(folder.resolve()) or folder.is_symlink()
                return found if inside and found.is_file() else None
        return None

    def fault(self, path: str) -> Fault:
        return next((fault for pattern, fault in self.faults.items() if fnmatch.fnmatchcase(path, pattern)), Fault())


def port_of(cache: Path) -> int:
    """The same for all runs with a cache, so that what depends on a mirror's address is found again."""
    return 20000 + zlib.crc32(str(cache).encode()) % 10000


@contextmanager
def mirror(routes: Mapping[str, Path], port: int = 0, address: str = LOOPBACK) -> Iterator[Mirror]:
    """It serves until the block ends. port: 0 for any. address: of this host."""
    server = ThreadingHTTPServer((address, port), _Handler)
    server.daemon_threads = True
    made = Mirror(address, server.server_address[1], dict(routes))
    server.mirror = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dead_url() -> str:
    """An address of loopback where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Said by Mirror.requests."""

    def _answer(self, *, body: bool) -> None:
        mirror: Mirror = self.server.mirror  # type: ignore[attr-defined]
        path = unquote(urlsplit(self.path).path)
        mirror.requests.append(path)
        fault, file = mirror.fault(path), mirror.file(path)
        if fault.status or (file is None and fault.content is None):
            self.send_response(fault.status or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = fault.content if fault.content is not None else file.read_bytes()  # type: ignore[union-attr]
        first = self._first(len(content))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self._send(content[first:], fault)

    def _first(self, size: int) -> int:
        """The first byte that is wanted ("Range: bytes=N-"); other ranges are ignored, as they may be."""
        asked = self.headers.get("Range", "")
        number = asked.removeprefix("bytes=").removesuffix("-")
        return int(number) if asked and number.isdigit() and int(number) < size else 0

    def _send(self, content: bytes, fault: Fault) -> None:
        kept = content if fault.cut is None else content[: fault.cut]
        try:
            for start in range(0, len(kept), CHUNK):
                time.sleep(fault.delay)
                self.wfile.write(kept[start : start + CHUNK])
        except OSError:
            self.close_connection = True
        if len(kept) < len(content):
            self.close_connection = True
