"""Issue 8, item 15: a server that sends a byte of its headers now and then holds up no build."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.bases import fetch
from vmgen_build.bases.download import Patience, download, open_client, small_file
from vmgen_build.bases.within import within
from vmgen_build.errors import BuildError
from vmgen_build.limits import RELEASE, RELEASE_TIME

QUICK = Patience(connect=5, stall=5, tries=2, pause=0.01, window=0.5)


@pytest.fixture
def trickling() -> Iterator[str]:
    """The URL of a server that begins an answer and then goes on with its headers, a byte at a time, for ever."""
    ended = threading.Event()

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
            while not ended.wait(0.1):
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while not ended.is_set():
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/file"
        finally:
            ended.set()


def test_issue_8_15_a_release_file_s_headers_must_come_in_time(trickling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RELEASE_TIME", replace(RELEASE_TIME, amount=1))
    with pytest.raises(BuildError, match="longer than the limit 'release-time' allows"):
        fetch.fetch(trickling, RELEASE_TIME, [])


def test_issue_8_15_a_downloads_headers_must_come_in_time(trickling: str, tmp_path: Path) -> None:
    with open_client(QUICK) as client:
        with pytest.raises(BuildError, match=r"did not come within 0\.5 s"):
            download(client, trickling, tmp_path / "file.part", lambda _done, _all: None, QUICK)
        with pytest.raises(BuildError, match=r"did not come within 0\.5 s"):
            small_file(client, trickling, 1000, QUICK)


def test_within_gives_what_the_work_gives() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(TimeoutError):
        within(0.05, lambda: threading.Event().wait(5))


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TRIES", 1)
    with pytest.raises(BuildError, match=r"http://m\.example/: .* \(by the proxy http://127\.0\.0\.1:9\)"):
        fetch.fetch("http://m.example/", RELEASE, ['Acquire::http::Proxy "http://127.0.0.1:9";'])
