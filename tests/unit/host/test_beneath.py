"""Issue 8, item 3: what lies below a foreign tree is opened without following links out of it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from vmgen_build.host.beneath import file_beneath, is_beneath, open_beneath, read_beneath
from vmgen_build.limits import Limit

SMALL = Limit("small", "a test", 10)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that holds etc/shadow, beside a file `outside` with the word secret."""
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/etc/shadow").write_text("its own")
    return tmp_path / "tree"


@pytest.mark.parametrize("target", ["{top}/outside", "../outside", "../../outside", "../../../../../../{top}/outside"])
def test_no_link_leads_out(tree: Path, target: str) -> None:
    (tree / "link").symlink_to(target.format(top=tree.parent))
    with pytest.raises(FileNotFoundError):
        read_beneath(tree, "link", SMALL)
    assert not is_beneath(tree, "link")


def test_no_name_leads_out(tree: Path) -> None:
    for name in ("../outside", "etc/../../outside", str(tree.parent / "outside")):
        with pytest.raises(FileNotFoundError):
            read_beneath(tree, name, SMALL)


def test_a_linked_folder_leads_out_nowhere(tree: Path) -> None:
    (tree / "up").symlink_to("..")
    with pytest.raises(FileNotFoundError):
        read_beneath(tree, "up/outside", SMALL)


def test_an_absolute_link_means_the_file_of_the_tree(tree: Path) -> None:
    (tree / "link").symlink_to("/etc/shadow")
    assert read_beneath(tree, "link", SMALL) == b"its own"
    assert is_beneath(tree, "link")


def test_links_in_a_circle_end(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    with pytest.raises(OSError) as caught:
        read_beneath(tree, "a", SMALL)
    assert caught.value.errno == errno.ELOOP


def test_what_is_no_regular_file_is_not_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tree)
        server.bind("socket")
    for name in ("pipe", "etc", "socket"):
        with pytest.raises(OSError) as caught:
            file_beneath(tree, name)
        assert caught.value.errno == errno.EINVAL, "its kind is known before it is opened: open(2) says ENXIO"


def test_a_file_over_its_limit_is_not_read(tree: Path) -> None:
    (tree / "long").write_bytes(b"12345678901")
    with pytest.raises(OSError, match="limit 'small'"):
        read_beneath(tree, "long", SMALL)
    (tree / "long").write_bytes(b"1234567890")
    assert read_beneath(tree, "long", SMALL) == b"1234567890"


def test_nothing_is_written_outside(tree: Path) -> None:
    (tree / "config").symlink_to(tree.parent / "outside")
    with pytest.raises(FileNotFoundError):
        open_beneath(tree, "config", os.O_WRONLY | os.O_TRUNC)
    assert (tree.parent / "outside").read_text() == "secret"


def test_a_folder_is_opened(tree: Path) -> None:
    """O_TMPFILE shares a bit with O_DIRECTORY, and openat2 takes a mode for what it creates alone."""
    descriptor = open_beneath(tree, "etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.listdir(descriptor) == ["shadow"]
    finally:
        os.close(descriptor)


def test_no_descriptor_stays_open(tree: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in ("etc/shadow", "etc", "none"):
        is_beneath(tree, name)
        try:
            read_beneath(tree, name, SMALL)
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
