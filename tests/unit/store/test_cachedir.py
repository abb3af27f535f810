"""Issue 8, items 5 and 13: which folder may serve as a cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.store.cachedir import check_cache, claim_cache, is_cache, is_ours, own_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user needs root")


def test_issue_8_5_a_new_or_empty_folder_is_marked(tmp_path: Path) -> None:
    for cache in (tmp_path / "new" / "er", tmp_path / "empty"):
        claim_cache(cache)
        assert is_ours(cache)
        assert (cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    checkout = tmp_path / "checkout"
    (checkout / "facts").mkdir(parents=True)
    (checkout / "README.md").touch()
    (checkout / "lost+found").mkdir()
    claim_cache(checkout)
    assert is_ours(checkout)


@pytest.mark.parametrize("name", ["tmp/x", "layers/x", "src", "CACHEDIR.TAG", "locks/notes"])
def test_issue_8_5_a_folder_that_holds_other_things_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    for refuse in (check_cache, claim_cache):
        with pytest.raises(HostError, match=r"is not empty and no cache of vmgen-build.*empty folder with --cache"):
            refuse(tmp_path)
    assert not is_cache(tmp_path)


def test_issue_8_5_a_cache_of_an_earlier_version_is_known(tmp_path: Path) -> None:
    (tmp_path / "layers" / ("0" * 32)).mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"{'0' * 32}.make").touch()
    (tmp_path / "more").mkdir()
    assert is_cache(tmp_path) and not is_ours(tmp_path)
    check_cache(tmp_path)
    claim_cache(tmp_path)
    assert is_ours(tmp_path)
    (tmp_path / "layers" / "taxes").mkdir()
    (tmp_path / "CACHEDIR.TAG").unlink()
    assert not is_cache(tmp_path)


def test_issue_8_13_a_cache_that_others_can_write_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "a" / "cache"
    claim_cache(cache)
    check_cache(cache)
    for folder, mode in ((cache, 0o777), (cache, 0o1777), (cache.parent, 0o777)):
        folder.chmod(mode)
        with pytest.raises(HostError, match=rf"could be changed by others: others can write to {folder} .*--shared-c"):
            check_cache(cache)
        check_cache(cache, shared=True)
        folder.chmod(0o755)
    cache.parent.chmod(0o1777)
    check_cache(cache)


@as_root
def test_issue_8_13_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "home" / "cache"
    claim_cache(cache)
    for folder in (cache, cache.parent):
        os.chown(folder, 12345, 12345)
        with pytest.raises(HostError, match=f"{folder} belongs to the user 12345"):
            check_cache(cache)
        monkeypatch.setenv("SUDO_UID", "12345")
        check_cache(cache)
        monkeypatch.delenv("SUDO_UID")
        os.chown(folder, 0, 0)


@as_root
def test_issue_8_13_a_group_is_others_unless_it_is_the_owners_own(tmp_path: Path) -> None:
    claim_cache(tmp_path / "cache")
    (tmp_path / "cache").chmod(0o775)
    check_cache(tmp_path / "cache")
    os.chown(tmp_path / "cache", 0, 12345)
    with pytest.raises(HostError, match="others can write"):
        check_cache(tmp_path / "cache")


@as_root
def test_issue_8_13_a_mark_of_another_user_is_none(tmp_path: Path) -> None:
    claim_cache(tmp_path)
    os.chown(tmp_path / "CACHEDIR.TAG", 12345, 12345)
    assert not is_ours(tmp_path)


def test_issue_8_13_no_folder_of_a_cache_is_a_link(tmp_path: Path) -> None:
    claim_cache(tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache" / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="is a link, not a folder"):
        own_folder(tmp_path / "cache", "locks")


@as_root
def test_issue_8_13_no_folder_of_a_cache_is_of_another_user(tmp_path: Path) -> None:
    claim_cache(tmp_path / "cache")
    (tmp_path / "cache" / "layers").mkdir()
    os.chown(tmp_path / "cache" / "layers", 12345, 12345)
    with pytest.raises(HostError, match=r"others can change .*layers"):
        own_folder(tmp_path / "cache", "layers")
