"""A recipe's file that is changed: whole or not at all, its mode and owner kept, a link to it left a link."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from vmgen_build.errors import HostError, RecipeError
from vmgen_build.recipe.edit import Change
from vmgen_build.recipe.recipefile import recipe_file

RAM = ("hardware", "ram")
TEXT = "[hardware]\n    ram = 1\n" + "# a comment\n" * 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "lab.ini"
    found.write_text(TEXT)
    return found


def change(path: Path, value: str, names: tuple[str, ...] = RAM, backup: str = "") -> None:
    with recipe_file(path) as file:
        file.write(file.edited([Change(names, value)], force=False), backup)


def forked(work: Callable[[], object]) -> int:
    """The number of a process that does this."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def change_without_end(path: Path, ready: int) -> None:
    """Writes a byte after each change."""
    for number in range(2, 10**6):
        change(path, str(number))
        os.write(ready, b"x")


def test_a_killed_write_leaves_the_old_file_or_the_new(path: Path) -> None:
    change(path, "1")
    seen = set()
    moments = random.Random(14)
    for _ in range(40):
        ready, written = os.pipe()
        child = forked(lambda at=written: change_without_end(path, at))  # type: ignore[misc]
        os.close(written)
        assert os.read(ready, 1) == b"x"
        time.sleep(moments.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        lines = path.read_text().split("\n", 2)
        assert "\n".join((lines[0], "    ram = 1", lines[2])) == TEXT
        seen.add(lines[1])
    assert len(seen) > 1
    change(path, "7")
    assert os.listdir(path.parent) == ["lab.ini"]


def test_changes_at_once_are_all_made(path: Path) -> None:
    names = [("devel", f"p{number}") for number in range(12)]
    children = [forked(lambda each=each: change(path, "1", each)) for each in names]  # type: ignore[misc]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(names)
    assert sorted(line for line in path.read_text().split("\n") if line.startswith("    p")) == sorted(
        f"    {name} = 1" for _, name in names
    )


def test_mode_owner_and_attributes_stay(path: Path) -> None:
    path.chmod(0o640)
    os.setxattr(path, "user.note", b"x")
    root = os.geteuid() == 0
    if root:
        os.chown(path, 1234, 2345)
    before = path.stat()
    change(path, "2", backup=".bak")
    for each in (path, path.with_name("lab.ini.bak")):
        now = each.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert os.getxattr(each, "user.note") == b"x"
    assert path.with_name("lab.ini.bak").read_text() == TEXT and "ram = 2" in path.read_text()


def test_a_link_stays_and_its_target_is_replaced(path: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "here.ini"
    link.symlink_to("../lab.ini")
    change(link, "3", backup="~")
    assert os.readlink(link) == "../lab.ini" and "ram = 3" in path.read_text()
    assert path.with_name("lab.ini~").read_text() == TEXT and os.listdir(link.parent) == ["here.ini"]


def test_a_byte_order_mark_and_line_ends_stay(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[hardware]\r\nram=1")
    change(path, "debian-12", ("hardware", "os"))
    assert path.read_bytes() == b"\xef\xbb\xbf[hardware]\r\nram=1\r\nos=debian-12"


@pytest.mark.skipif(os.geteuid() != 0, reason="another's file needs root")
@pytest.mark.parametrize(
    ("owner", "mode", "message"),
    [
        (1234, 0o666, r"lab\.ini is left as it was: its owner or group is another"),
        (65534, 0o444, r"lab\.ini may not be written to by this user; change its mode, or run as its owner"),
    ],
)
def test_what_is_not_the_users_to_change_is_left(owner: int, mode: int, message: str) -> None:
    def as_nobody(path: Path) -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        with pytest.raises(HostError, match=message):
            change(path, "4", backup=".bak")
        assert os.listdir(path.parent) == ["lab.ini"]

    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "lab.ini")
        path.write_text(TEXT)
        path.chmod(mode)
        os.chown(path, owner, owner)
        assert os.waitpid(forked(lambda: as_nobody(path)), 0)[1] == 0 and path.read_text() == TEXT


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a folder; name the recipe's file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "there is no such file; check its name"),
        (os.mkfifo, "cannot be read: it is a pipe, not a file"),
        (lambda path: path.write_text(" \n"), "is empty; a recipe has at least"),
    ],
)
def test_what_is_no_recipe(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "x.ini")
    with pytest.raises(RecipeError, match=message), recipe_file(tmp_path / "x.ini"):
        pass


def test_what_would_be_too_large_is_not_written(path: Path) -> None:
    with pytest.raises(RecipeError, match="limit 'recipe'"):
        change(path, "x" * 2_000_000)
    assert path.read_text() == TEXT and os.listdir(path.parent) == ["lab.ini"]
