"""Release files: read over a real HTTP server on loopback, at most once an hour.

Issue 8, item 15 (Release files): fetched within limits, checked by gpgv, never older than what was seen.
"""

from __future__ import annotations

import email.utils
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.gpgkeys import Keys
from vmgen_build import limits
from vmgen_build.bases import fetch, states
from vmgen_build.bases.apt import archive
from vmgen_build.bases.apt.archive import AptSource, release_of
from vmgen_build.bases.apt.supply import AptSupply, _sources_of
from vmgen_build.bases.states import State
from vmgen_build.bases.supply import Request
from vmgen_build.errors import BuildError, HostError
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.systems.parse import parse_system

RELEASE = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: Test
Suite: unstable
Codename: sid
Date: Sat, 11 Jul 2026 10:16:37 UTC
SHA256:
 {digest} 1234 main/binary-amd64/Packages
 aaaa 99 main/binary-amd64/Packages.xz
 bbbb 99 main/binary-arm64/Packages.xz
 cccc 99 contrib/binary-amd64/Packages.xz
-----BEGIN PGP SIGNATURE-----
{signature}
"""


UNSIGNED = RELEASE.partition("\n\n")[2].partition("-----BEGIN")[0].format(digest="dddd")


class Mirror:
    """Answers every request with `text`, or with `status` where that is set; with what `files` holds of its path.

    where: the address that it sends on to; endless: whether an answer has no end. sent: bytes of it that went out.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.text, self.status = RELEASE.format(digest="dddd", signature="x"), 200
        self.files: dict[str, bytes] | None = None
        self.where, self.endless, self.sent = "", False, 0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                name = self.path.rpartition("/")[2]
                there = mirror.files is None or name in mirror.files
                self.send_response(302 if mirror.where else mirror.status if there else 404)
                if mirror.where:
                    self.send_header("Location", mirror.where)
                self.end_headers()
                if there:
                    self.wfile.write(mirror.text.encode() if mirror.files is None else mirror.files[name])
                with suppress(OSError):
                    while mirror.endless:
                        mirror.sent += self.wfile.write(bytes(1 << 16))

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


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gnupg") / "a")
    yield made
    made.end()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("gnupg") / "b")
    yield made
    made.end()


@pytest.fixture()
def settings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The host's own of apt: none, but for what a test adds."""
    lines: list[str] = []
    monkeypatch.setattr(archive, "host_apt_settings", lambda: tuple(lines))
    return lines


def asked(mirror: Mirror, keys: Keys, cache: Path, *, named: bool = False, suite: str = "sid") -> State:
    return release_of(AptSource(mirror.url, suite, keyring=str(keys.keyring), named=named), "amd64", cache)


def dated(when: float) -> str:
    return UNSIGNED.replace("Sat, 11 Jul 2026 10:16:37 UTC", email.utils.formatdate(when, usegmt=True))


def test_it_is_asked_for_once_an_hour(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = AptSource(mirror.url, "bookworm")
    first = release_of(source, "amd64", tmp_path)
    assert release_of(source, "amd64", tmp_path) == first
    assert mirror.asked == ["/debian/dists/bookworm/InRelease"]
    assert first.date == 1783764997
    monkeypatch.setattr(states, "FRESH", 0.0)
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
    monkeypatch.setattr(fetch.time, "sleep", lambda _seconds: None)
    with pytest.raises(
        BuildError, match=r"cannot read http://127\.0\.0\.1:9/debian/dists/bookworm/InRelease: .*--offline"
    ):
        release_of(AptSource("http://127.0.0.1:9/debian", "bookworm"), "amd64", tmp_path)


def test_a_passing_fault_is_tried_again_and_a_missing_suite_is_not(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.time, "sleep", lambda _seconds: None)
    for status, tries in ((503, fetch.TRIES), (404, 2)):
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
    monkeypatch.setattr(states, "FRESH", 0.0)
    assert release_of(source, "amd64", tmp_path, offline=True) == known


def test_an_answer_that_is_no_release_file_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.text = "<html>log in first</html>"
    with pytest.raises(BuildError, match="is no Release file"):
        release_of(AptSource(mirror.url, "bookworm"), "amd64", tmp_path)


def test_the_facts_of_a_plan_are_what_its_archive_and_its_repositories_hold(
    mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str]
) -> None:
    mirror.text = keys.signed(UNSIGNED)
    system = parse_system("debian-sid-amd64")
    archives = tuple(replace(one, keyring=str(keys.keyring)) for one in system.archives)
    request = Request(replace(system, archives=archives), mirror.url, 0)
    own = {
        "by-url": Repository(url=f"{mirror.url}/own/", suite="stable", key=keys.keyring),
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
    mirror.text = keys.signed(UNSIGNED.replace("aaaa", "eeee"))
    changed = AptSupply.facts(request, own, tmp_path / "new", offline=False)
    assert changed.release != facts.release and changed.repositories != facts.repositories


def test_issue_8_15_a_release_file_is_signed_by_the_distributions_key(
    mirror: Mirror, tmp_path: Path, keys: Keys, stranger: Keys, settings: list[str]
) -> None:
    mirror.text = keys.signed(UNSIGNED)
    good = asked(mirror, keys, tmp_path)
    refused = {
        "unsigned": (UNSIGNED, "is no Release file"),
        "of another key": (stranger.signed(UNSIGNED), "which the keyring does not hold"),
        "changed": (keys.signed(UNSIGNED).replace("aaaa", "eeee"), "signed other bytes"),
        "beside it": ("Date: x\n" + keys.signed(UNSIGNED), "is no Release file"),
        "after it": (keys.signed(UNSIGNED) * 2, "is not one signed message alone"),
    }
    for number, (text, message) in enumerate(refused.values()):
        mirror.text = text
        with pytest.raises(BuildError, match=message):
            asked(mirror, keys, tmp_path / str(number))
    mirror.text = keys.signed(UNSIGNED)
    assert asked(mirror, keys, tmp_path / "again") == good


def test_issue_8_15_only_what_is_signed_is_read(
    mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str]
) -> None:
    """Text behind the signed message does not count: gpgv's own output is what is read."""
    mirror.text = keys.signed(UNSIGNED)
    good = asked(mirror, keys, tmp_path / "1")
    mirror.text += "\nSHA256:\n ffff 99 main/binary-amd64/Packages\n"
    with suppress(BuildError):
        assert asked(mirror, keys, tmp_path / "2") == good


def test_issue_8_15_a_signature_of_its_own_serves_as_well(
    mirror: Mirror, tmp_path: Path, keys: Keys, stranger: Keys, settings: list[str]
) -> None:
    data = UNSIGNED.encode()
    mirror.files = {"Release": data, "Release.gpg": keys.gpg("--armor", "--detach-sign", data=data)}
    assert asked(mirror, keys, tmp_path / "1").date == 1783764997
    mirror.files["Release.gpg"] = stranger.gpg("--detach-sign", data=data)
    with pytest.raises(BuildError, match="which the keyring does not hold"):
        asked(mirror, keys, tmp_path / "2")
    del mirror.files["Release.gpg"]
    with pytest.raises(BuildError, match=r"Release.gpg: HTTP 404"):
        asked(mirror, keys, tmp_path / "3")


def test_issue_8_15_one_good_signature_among_several_is_enough(
    mirror: Mirror, tmp_path: Path, keys: Keys, stranger: Keys, settings: list[str]
) -> None:
    """Debian signs by the keys of two releases, of which a host may know one."""
    data = UNSIGNED.encode()
    both = b"".join(one.gpg("--detach-sign", data=data) for one in (keys, stranger))
    mirror.files = {"Release": data, "Release.gpg": both}
    assert asked(mirror, keys, tmp_path / "1").date == asked(mirror, stranger, tmp_path / "2").date
    mirror.files["Release.gpg"] = keys.gpg("--detach-sign", data=data + b"other")
    with pytest.raises(BuildError, match="signed other bytes"):
        asked(mirror, keys, tmp_path / "3")


def test_issue_8_15_a_key_that_expired_signs_nothing(
    mirror: Mirror, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, settings: list[str]
) -> None:
    old = Keys(tmp_path_factory.mktemp("gnupg") / "o", "2d", "20250101T000000")
    try:
        mirror.text = old.signed(UNSIGNED)
    finally:
        old.end()
    with pytest.raises(BuildError, match="the key that signed it has expired"):
        asked(mirror, old, tmp_path)


@pytest.mark.parametrize(
    "date", ["soon", "Sat, 99 Jul 2026 10:16:37 UTC", "Sat, 11 Jul 99999999 10:16:37 UTC", "\x1b[2J"]
)
def test_issue_8_15_a_bad_date_is_named(mirror: Mirror, tmp_path: Path, settings: list[str], date: str) -> None:
    mirror.text = UNSIGNED.replace("Sat, 11 Jul 2026 10:16:37 UTC", date)
    with pytest.raises(BuildError, match="is no date; take another mirror") as error:
        release_of(AptSource(mirror.url, "sid"), "amd64", tmp_path)
    assert "\x1b" not in str(error.value)


def test_issue_8_15_a_date_to_come_is_refused(mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str]) -> None:
    mirror.text = keys.signed(dated(time.time() + 3600))
    asked(mirror, keys, tmp_path / "1")
    mirror.text = keys.signed(dated(time.time() + 2 * 86400))
    with pytest.raises(BuildError, match="the limit 'release-ahead' allows"):
        asked(mirror, keys, tmp_path / "2")


def test_issue_8_15_valid_until_is_respected_as_apt_does(
    mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str]
) -> None:
    until = email.utils.formatdate(time.time() - 60, usegmt=True)
    mirror.text = keys.signed(UNSIGNED.replace("SHA256:", f"Valid-Until: {until}\nSHA256:"))
    with pytest.raises(BuildError, match=f"was valid until {until}"):
        asked(mirror, keys, tmp_path)
    settings.append('Acquire::Check-Valid-Until "false";')
    asked(mirror, keys, tmp_path)
    settings.clear()
    until = email.utils.formatdate(time.time() + 3600, usegmt=True)
    mirror.text = keys.signed(UNSIGNED.replace("SHA256:", f"Valid-Until: {until}\nSHA256:"))
    asked(mirror, keys, tmp_path / "again")


def test_issue_8_15_an_archive_does_not_go_back(
    mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old InRelease, signed as well as the new one, would keep old layers current."""
    monkeypatch.setattr(states, "FRESH", 0.0)
    now = time.time()
    mirror.text = keys.signed(dated(now))
    asked(mirror, keys, tmp_path)
    mirror.text = keys.signed(dated(now - 20 * 3600))
    asked(mirror, keys, tmp_path)
    mirror.text = keys.signed(dated(now - 25 * 3600))
    with pytest.raises(
        BuildError, match=r"(?s)the limit 'release-behind' allows .* or remove (.*newest-\w+\.json)"
    ) as error:
        asked(mirror, keys, tmp_path)
    Path(str(error.value).split("or remove ")[1].split(" where")[0]).unlink()
    asked(mirror, keys, tmp_path)


def test_issue_8_15_a_mirror_that_gives_another_suite_is_refused(
    mirror: Mirror, tmp_path: Path, keys: Keys, settings: list[str]
) -> None:
    mirror.text = keys.signed(UNSIGNED)
    asked(mirror, keys, tmp_path, named=True)
    with pytest.raises(BuildError, match="is of sid or unstable, and not of bookworm"):
        asked(mirror, keys, tmp_path, named=True, suite="bookworm")


def test_issue_8_15_a_release_file_without_end_is_cut_off(mirror: Mirror, tmp_path: Path, settings: list[str]) -> None:
    mirror.endless = True
    with pytest.raises(BuildError, match="the limit 'release' allows"):
        release_of(AptSource(mirror.url, "sid"), "amd64", tmp_path)
    mirror.endless = False
    assert mirror.sent < 3 * limits.RELEASE.amount


def test_issue_8_15_redirects_end(mirror: Mirror, tmp_path: Path, settings: list[str]) -> None:
    mirror.where = mirror.url
    with pytest.raises(BuildError, match="the limit 'redirects' allows"):
        release_of(AptSource(mirror.url, "sid"), "amd64", tmp_path)
    assert len(mirror.asked) == 6
    mirror.where = "file:///etc/passwd"
    with pytest.raises(BuildError, match="cannot read http"):
        release_of(AptSource(mirror.url, "sid"), "amd64", tmp_path)


def test_issue_8_15_a_mirror_of_this_host_is_a_file_within_the_limit(tmp_path: Path, settings: list[str]) -> None:
    folder = tmp_path / "debian" / "dists" / "sid"
    folder.mkdir(parents=True)
    source = AptSource(f"file:{tmp_path}/debian", "sid")
    os.mkfifo(folder / "InRelease")
    with pytest.raises(BuildError, match="it is no file"):
        release_of(source, "amd64", tmp_path)
    (folder / "InRelease").unlink()
    (folder / "InRelease").write_text("x" * (limits.RELEASE.amount + 1))
    with pytest.raises(BuildError, match="the limit 'release' allows"):
        release_of(source, "amd64", tmp_path)
    (folder / "InRelease").unlink()
    (folder / "Release").write_text(UNSIGNED)
    assert release_of(source, "amd64", tmp_path).date == 1783764997


def test_issue_8_15_which_repositories_of_a_recipe_are_checked_here() -> None:
    system = parse_system("debian-12-amd64")
    own = {
        "key": Repository(url="http://x/a", key=Path("/k.asc")),
        "none": Repository(url="http://x/b"),
        "trusted": Repository(line="deb [ arch=amd64 trusted=yes ] http://x/c ./", key=Path("/k.asc")),
        "guests": Repository(line="deb [signed-by=/etc/k.gpg] http://x/d sid main"),
        "line": Repository(line="deb [arch=amd64] http://x/e sid main"),
    }
    checked = {name: source.keyring for name, source in _sources_of(own, system, "/debian.gpg")}
    assert checked == {"key": "/k.asc", "none": "/debian.gpg", "trusted": "", "guests": "", "line": "/debian.gpg"}


@pytest.mark.parametrize("word", ["DIRECT", "false"])
def test_issue_8_15_words_of_apt_for_no_proxy_are_none(word: str) -> None:
    assert fetch._proxy_of([f'Acquire::http::Proxy "{word}";']) == ""


def test_issue_8_15_a_proxy_that_is_none_is_named() -> None:
    with pytest.raises(HostError, match="nonsense"):
        fetch.fetch("http://m.example/", limits.RELEASE, ['Acquire::http::Proxy "nonsense";'])
