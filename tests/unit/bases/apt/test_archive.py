"""Release files: read over a real HTTP server on loopback, at most once an hour."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgen_build.bases.apt import archive
from vmgen_build.bases.apt.archive import AptSource, release_of
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.supply import Request
from vmgen_build.errors import BuildError
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.systems.parse import parse_system

RELEASE = """-----BEGIN PGP SIGNED MESSAGE-----
Origin: Test
Date: Sat, 11 Jul 2026 10:16:37 UTC
SHA256:
 {digest} 1234 main/binary-amd64/Packages
 aaaa 99 main/binary-amd64/Packages.xz
 bbbb 99 main/binary-arm64/Packages.xz
 cccc 99 contrib/binary-amd64/Packages.xz
-----BEGIN PGP SIGNATURE-----
{signature}
"""


class Mirror:
    """Answers every request with `text`, or with `status` where that is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.text, self.status = RELEASE.format(digest="dddd", signature="x"), 200
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                self.send_response(mirror.status)
                self.end_headers()
                self.wfile.write(mirror.text.encode())

            def log_message(self, *words: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/debian"


@pytest.fixture()
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    thread = threading.Thread(target=mirror.server.serve_forever)
    thread.start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
    thread.join()


def test_it_is_asked_for_once_an_hour(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = AptSource(mirror.url, "bookworm")
    first = release_of(source, "amd64", tmp_path)
    assert release_of(source, "amd64", tmp_path) == first
    assert mirror.asked == ["/debian/dists/bookworm/InRelease"]
    assert first.date == 1783764997
    monkeypatch.setattr(archive, "FRESH", 0.0)
    release_of(source, "amd64", tmp_path)
    assert len(mirror.asked) == 2


def test_a_new_signature_is_no_change_and_a_new_index_is_one(mirror: Mirror, tmp_path: Path) -> None:
    def digest(number: int, arch: str = "amd64") -> str:
        return release_of(AptSource(mirror.url, "bookworm"), arch, tmp_path / str(number)).digest

    first, other_arch = digest(1), digest(1, "arm64")
    mirror.text = RELEASE.format(digest="dddd", signature="another")
    assert digest(2) == first
    mirror.text = mirror.text.replace("aaaa", "eeee")
    assert digest(3) != first
    assert digest(3, "arm64") == other_arch


def test_a_flat_repository_has_its_release_beside_the_suite() -> None:
    assert AptSource("http://x/repo", "./").release_url() == "http://x/repo/./InRelease"


def test_a_mirror_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.time, "sleep", lambda _seconds: None)
    with pytest.raises(
        BuildError, match=r"cannot read http://127\.0\.0\.1:9/debian/dists/bookworm/InRelease: .*--offline"
    ):
        release_of(AptSource("http://127.0.0.1:9/debian", "bookworm"), "amd64", tmp_path)


def test_a_passing_fault_is_tried_again_and_a_missing_suite_is_not(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.time, "sleep", lambda _seconds: None)
    for status, tries in ((503, archive.TRIES), (404, 1)):
        mirror.status, mirror.asked = status, []
        with pytest.raises(BuildError, match=f"HTTP {status}"):
            release_of(AptSource(mirror.url, "bookworm"), "amd64", tmp_path)
        assert len(mirror.asked) == tries


def test_offline_takes_what_is_known_and_says_when_nothing_is(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = AptSource(mirror.url, "bookworm")
    with pytest.raises(BuildError, match="run once without --offline"):
        release_of(source, "amd64", tmp_path, offline=True)
    known = release_of(source, "amd64", tmp_path)
    monkeypatch.setattr(archive, "FRESH", 0.0)
    assert release_of(source, "amd64", tmp_path, offline=True) == known


def test_an_answer_that_is_no_release_file_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.text = "<html>log in first</html>"
    with pytest.raises(BuildError, match="is no Release file"):
        release_of(AptSource(mirror.url, "bookworm"), "amd64", tmp_path)


def test_the_facts_of_a_plan_are_what_its_archive_and_its_repositories_hold(mirror: Mirror, tmp_path: Path) -> None:
    request = Request(parse_system("debian-sid-amd64"), mirror.url, 0)
    own = {
        "by-url": Repository(url=f"{mirror.url}/own/", suite="stable"),
        "by-line": Repository(line=f"deb [arch=amd64] {mirror.url}/line ./"),
    }
    facts = AptSupply.facts(request, own, tmp_path, offline=False)
    assert set(mirror.asked) == {
        "/debian/dists/sid/InRelease",
        "/debian/own/dists/stable/InRelease",
        "/debian/line/InRelease",
    }
    assert facts.epoch == 1783764997 and set(facts.repositories) == {"by-url", "by-line"}
    assert AptSupply.facts(request, own, tmp_path, offline=True) == facts
    mirror.text = mirror.text.replace("aaaa", "eeee")
    changed = AptSupply.facts(request, own, tmp_path / "new", offline=False)
    assert changed.release != facts.release and changed.repositories != facts.repositories
