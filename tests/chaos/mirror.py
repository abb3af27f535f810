"""A proxy between the builds and the package archive that can go away, stall, or lie.

It keeps what it fetched, so that the archive does not change while a campaign goes on.
"""

from __future__ import annotations

import http.server
import random
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field

WHOLE = 1 << 40
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """code: of HTTP. kind: its Content-Type."""

    code: int
    body: bytes = b""
    kind: str = "application/octet-stream"
    modified: str = ""


@dataclass(slots=True)
class Mood:
    """How it answers: honest, gone, cut, garbage, short, long, empty, error, page, stall or slow.

    after: so many answers are honest yet. times: then so many are not.
    """

    name: str = "honest"
    after: int = 0
    times: int = WHOLE
    chance: random.Random = field(default_factory=lambda: random.Random(0))


class Mirror:
    """The proxy. url: for http_proxy. lies: how many answers were not honest."""

    def __init__(self) -> None:
        self.lies = 0
        self._mood = Mood()
        self._kept: dict[str, Answer] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"mirror": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def become(self, mood: Mood) -> None:
        with self._lock:
            self._mood, self.lies = mood, 0

    def become_honest(self) -> None:
        with self._lock:
            self._mood = Mood()

    def next_mood(self) -> Mood:
        """For the answer that is due now."""
        with self._lock:
            mood = self._mood
            if mood.name == "honest" or mood.times <= 0:
                return Mood()
            if mood.after > 0:
                mood.after -= 1
                return Mood()
            mood.times -= 1
            self.lies += 1
            return mood

    def answer(self, url: str) -> Answer:
        with self._lock:
            known = self._kept.get(url)
        if known is None:
            known = _fetched(url)
            if known.code in (200, 404):
                with self._lock:
                    self._kept[url] = known
        return known


def _fetched(url: str) -> Answer:
    try:
        with urllib.request.urlopen(url, timeout=60) as got:
            return Answer(200, got.read(), got.headers.get_content_type(), got.headers.get("Last-Modified", ""))
    except urllib.error.HTTPError as error:
        return Answer(error.code)
    except OSError:
        return Answer(502)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A build that was killed cuts its connections."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: Mirror

    def log_message(self, format: str, *words: object) -> None:
        return

    def do_GET(self) -> None:
        mood = self.mirror.next_mood()
        if mood.name == "gone":
            self.close_connection = True
            return
        answer = self.mirror.answer(self.path)
        if mood.name == "error":
            answer = Answer(503)
        if mood.name == "page":
            answer = Answer(200, b"<html><body>Please log in to this network.</body></html>", "text/html")
        with suppress(OSError):
            self._send(answer, mood)

    def _send(self, answer: Answer, mood: Mood) -> None:
        body, where = answer.body, mood.chance.randrange(max(1, len(answer.body)))
        if mood.name == "garbage":
            body = body[:where] + mood.chance.randbytes(200) + body[where + 200 :]
        length = {"short": where, "long": len(body) + 1000, "empty": 0}.get(mood.name, len(body))
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(length))
        if answer.modified:
            self.send_header("Last-Modified", answer.modified)
        self.end_headers()
        if mood.name in ("cut", "long"):
            self.wfile.write(body[:where] if mood.name == "cut" else body)
            self.close_connection = True
            return
        if mood.name == "stall":
            self.wfile.write(body[:where])
            time.sleep(mood.chance.uniform(0.5, 3))
            body, length = body[where:], length - where
        self._write(body[:length], 0.005 if mood.name == "slow" else 0)

    def _write(self, body: bytes, pause: float) -> None:
        for start in range(0, len(body), _PIECE):
            self.wfile.write(body[start : start + _PIECE])
            time.sleep(pause)
