"""A web server on the loopback, with what real ones do wrong."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(kw_only=True)
class Served:
    """A file: its bytes, and how it is given out. etag "" and date "": none is sent.

    cuts: for one request after another, the bytes of the body after which the connection is closed; stall: seconds to
    wait at that point instead. pause: seconds before each 64 KiB. length: whether Content-Length is sent. to: where an
    answer with another code sends on to.
    """

    data: bytes = b""
    zeros: int = 0
    etag: str = '"one"'
    date: str = ""
    ranges: bool = True
    codes: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    stall: float = 0
    pause: float = 0
    length: bool = True
    kind: str = "application/gzip"
    to: str = ""

    def piece(self, start: int, end: int) -> bytes:
        return bytes(min(end, self.zeros) - start) if self.zeros else self.data[start:end]

    @property
    def size(self) -> int:
        return self.zeros or len(self.data)


class Web(ThreadingHTTPServer):
    """files: path -> what lies there. asked: (path, Range or "") of each request, in order."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients go away in the middle of an answer: they are meant to."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.path, wanted))
        served = self.server.files.get(self.path)
        code = served.codes.pop(0) if served is not None and served.codes else 200
        if served is None or code != 200:
            self.send_response(404 if served is None else code)
            if served is not None and served.to:
                self.send_header("Location", served.to)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        named = self.headers.get("If-Range", "")
        if served.ranges and wanted and (not named or named in (served.etag, served.date)):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if start >= served.size > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._headers(served, start)
        self._body(served, start)

    def _headers(self, served: Served, start: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{served.size - 1}/{served.size}")
        self.send_header("Content-Type", served.kind)
        if served.length:
            self.send_header("Content-Length", str(served.size - start))
        else:
            self.send_header("Connection", "close")
        for name, value in (("ETag", served.etag), ("Last-Modified", served.date)):
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _body(self, served: Served, start: int) -> None:
        cut = served.cuts.pop(0) if served.cuts else None
        end = served.size if cut is None else min(start + cut, served.size)
        for at in range(start, end, 1 << 16):
            time.sleep(served.pause)
            self.wfile.write(served.piece(at, min(at + (1 << 16), end)))
        if cut is not None or not served.length:
            self.wfile.flush()
            time.sleep(served.stall)
            self.close_connection = True


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def served() -> type[Served]:
    """The class, for tests that cannot import from a conftest."""
    return Served
