"""Issue 8, item 13: what builds share is taken over only where it is what the archive's indexes name."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.cache import keep_packages, package_lists

MAIN = AptSource("https://user:word@deb.example.org/my_debian", "bookworm", ("main",))


def stanza(name: str, version: str, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nSize: {len(content)}\nSHA256: {digest}\n\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Of what a guest left, of what builds share, of indexes."""
    new, kept, indexes = tmp_path / "new", tmp_path / "kept", tmp_path / "indexes"
    for folder in (new, kept / "partial", indexes / "lists"):
        folder.mkdir(parents=True)
    head = "deb.example.org_my%5fdebian_dists_bookworm_main_binary-amd64_Packages"
    (indexes / "lists" / head).write_text(stanza("bash", "1:5.2-1+b1", b"right") + stanza("vim", "9_1%", b"editor"))
    (indexes / "lists" / "repo.example_dists_x_main_binary-amd64_Packages").write_text(stanza("sudo", "1", b"own"))
    return new, kept, indexes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.deb"))


def test_issue_8_13_packages_that_the_indexes_name_are_shared(folders: tuple[Path, Path, Path]) -> None:
    new, kept, indexes = folders
    (new / "bash_1%3a5.2-1+b1_amd64.deb").write_bytes(b"right")
    (new / "vim_9%5f1%25_amd64.deb").write_bytes(b"editor")
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 2
    assert names(kept) == names(new)
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 0


def test_issue_8_13_a_package_with_other_content_is_not_shared(folders: tuple[Path, Path, Path]) -> None:
    new, kept, indexes = folders
    (new / "bash_1%3a5.2-1+b1_amd64.deb").write_bytes(b"wrong")
    (new / "dash_1_amd64.deb").write_bytes(b"right")
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 0
    assert names(kept) == []


def test_issue_8_13_a_link_that_a_guest_left_is_not_followed(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    new, kept, indexes = folders
    (tmp_path / "secret").write_bytes(b"right")
    (new / "bash_1%3a5.2-1+b1_amd64.deb").symlink_to(tmp_path / "secret")
    os.mkfifo(new / "vim_9%5f1%25_amd64.deb")
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 0
    assert names(kept) == []


def test_issue_8_13_a_repository_of_the_recipe_does_not_speak_for_the_archive(
    folders: tuple[Path, Path, Path],
) -> None:
    new, kept, indexes = folders
    (new / "sudo_1_amd64.deb").write_bytes(b"own")
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_issue_8_13_a_shared_package_is_the_callers_alone(folders: tuple[Path, Path, Path]) -> None:
    new, kept, indexes = folders
    deb = new / "bash_1%3a5.2-1+b1_amd64.deb"
    deb.write_bytes(b"right")
    os.chown(deb, 1000, 1000)
    deb.chmod(0o6777)
    assert keep_packages(new, kept, package_lists(indexes, [MAIN])) == 1
    info = (kept / deb.name).stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (0, 0, 0o644)


def test_issue_8_13_what_a_killed_build_half_kept_is_removed(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt's own files there stay, and those of a build that may still run."""
    new, kept, indexes = folders
    left, apts = kept / "partial" / ".vim_9%5f1%25_amd64.deb.123", kept / "partial" / "vim.deb"
    left.touch()
    apts.touch()
    keep_packages(new, kept, package_lists(indexes, [MAIN]))
    assert left.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    keep_packages(new, kept, package_lists(indexes, [MAIN]))
    assert list((kept / "partial").iterdir()) == [apts]
