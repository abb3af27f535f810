"""Issue 8, item 13: of a cache that others can write to, nothing of theirs is read, followed or written through."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from vmgen_build.bases import ostemplate, states
from vmgen_build.bases.apt import archive
from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.cache import lists_folder, packages_folder
from vmgen_build.build.logfile import open_log
from vmgen_build.errors import HostError
from vmgen_build.store.cachedir import claim_cache, own_folder

MAIN = AptSource("http://deb.example.org/debian", "bookworm")
NEIGHBOUR = 1000
CHOICE = ostemplate.OsTemplateChoice(url="http://127.0.0.1:9", sha256="0" * 64)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache for everybody."""
    folder = tmp_path / "cache"
    claim_cache(folder)
    folder.chmod(0o1777)
    return folder


def neighbours(cache: Path, name: str) -> Path:
    folder = cache / name
    folder.mkdir(parents=True)
    os.chown(folder, NEIGHBOUR, NEIGHBOUR)
    return folder


def release_record(cache: Path) -> str:
    """The name under which the state of MAIN is remembered."""
    archive.remember(cache, "x.json", {"asked": time.time(), "digest": "d", "date": 1})
    assert states._known(cache, "x.json") is not None
    return "x.json"


@as_root
def test_issue_8_13_a_neighbours_facts_are_not_believed(cache: Path) -> None:
    name = release_record(cache)
    for path in (cache / "facts", cache / "facts" / name):
        os.chown(path, NEIGHBOUR, NEIGHBOUR)
        assert archive.recall(cache, name) is None
        os.chown(path, 0, 0)
    (cache / "facts").chmod(0o777)
    assert archive.recall(cache, name) is None


def test_issue_8_13_a_fact_that_is_no_file_is_none(cache: Path) -> None:
    """A FIFO of its name holds nobody up."""
    name = release_record(cache)
    (cache / "facts" / name).rename(cache / "facts" / "other")
    (cache / "facts" / name).symlink_to("other")
    assert archive.recall(cache, name) is None
    (cache / "facts" / name).unlink()
    os.mkfifo(cache / "facts" / name)
    assert archive.recall(cache, name) is None


@pytest.mark.parametrize("text", ["[" * 200_000, '{"asked": 1e999, "digest": "", "date": 1e999}', '{"date": 1e999}'])
def test_issue_8_13_a_fact_that_is_no_sense_is_none(cache: Path, text: str) -> None:
    name = release_record(cache)
    (cache / "facts" / name).write_text(text)
    assert states._known(cache, name) is None


@pytest.mark.parametrize("uri", ["[trusted=yes] http://evil.example/debian", "http://a/debian b", "ftp://a/debian"])
def test_issue_8_13_a_mirror_is_an_address_alone(cache: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"debian": "http://own.example/debian"}
    monkeypatch.setattr(archive, "find_program", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(archive, "_ask_apt_for_mirrors", lambda: own)
    monkeypatch.setattr(archive, "recall", lambda *_: {"debian": uri})
    assert archive.host_mirrors(cache) in (own, {})
    assert archive.found_mirrors(f"{uri}\n") == {}


@as_root
@pytest.mark.parametrize("name", ["downloads", "downloads/ostemplates"])
def test_issue_8_13_a_neighbours_folder_of_os_templates_is_refused(cache: Path, name: str, tmp_path: Path) -> None:
    """Nothing is written through a link that he put there, and no file of his is taken."""
    folder = neighbours(cache, name)
    if name == "downloads":
        folder = folder / "ostemplates"
        folder.mkdir()
    (tmp_path / "victim").write_text("precious")
    (folder / ".debian-12-x86_64.tar.gz.part").symlink_to(tmp_path / "victim")
    (folder / "debian-12-x86_64.tar.gz").write_text("his")
    with pytest.raises(HostError, match="others can change"):
        ostemplate.fetch(CHOICE, "debian-12-x86_64", cache, lambda _: None)
    choice = ostemplate.OsTemplateChoice(url=CHOICE.url, sha256=hashlib.sha256(b"his").hexdigest())
    assert ostemplate.kept(choice, "debian-12-x86_64", cache) is None
    assert (tmp_path / "victim").read_text() == "precious"


@as_root
@pytest.mark.parametrize("name", ["downloads", "downloads/packages-debian", "downloads/packages-debian/partial"])
def test_issue_8_13_a_neighbours_packages_are_refused(cache: Path, name: str) -> None:
    neighbours(cache, name)
    with pytest.raises(HostError, match=f"others can change .*{name}"):
        packages_folder(cache, "debian")


@as_root
@pytest.mark.parametrize("inner", ["", "lists", "cache"])
def test_issue_8_13_a_neighbours_indexes_are_refused(cache: Path, inner: str) -> None:
    folder = lists_folder(cache, [MAIN], "amd64", "state")
    os.chown(folder / inner, NEIGHBOUR, NEIGHBOUR)
    with pytest.raises(HostError, match="others can change"):
        lists_folder(cache, [MAIN], "amd64", "state")


def test_issue_8_13_a_folder_of_downloads_is_no_link(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (cache / "downloads").symlink_to(tmp_path / "elsewhere")
    for use in (lambda: packages_folder(cache, "debian"), lambda: lists_folder(cache, [MAIN], "amd64", "x")):
        with pytest.raises(HostError, match="is a link"):
            use()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_issue_8_13_a_log_is_not_written_through_a_link(cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (cache / "logs").symlink_to(elsewhere)
    with pytest.raises(HostError, match="is a link"):
        open_log(own_folder(cache, "logs"), "lab")
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    assert list(elsewhere.iterdir()) == []
