"""A root of others made ready: folders that it lacks, files of the machine that it was, and no way out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.bases.adopt import adopt
from vmgen_build.errors import Position, RecipeError
from vmgen_build.plan.bases import Foreign, Tarball

BASE = Foreign(Tarball(Path("r.tar"), "0" * 64), "debian-12", "amd64", (), "r", 0, "r.tar", Position("lab.ini", 4))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    return tmp_path / "root"


def test_what_is_of_another_machine_goes(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of this host")
    (root / "etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n")
    (root / "etc/resolv.conf").symlink_to(outside)
    (root / "etc/machine-id").write_text("0123\n")
    (root / ".dockerenv").touch()
    adopt(root, BASE)
    assert [(root / "etc" / name).read_text() for name in ("fstab", "resolv.conf", "machine-id")] == ["", "", ""]
    assert not (root / "etc/resolv.conf").is_symlink() and outside.read_text() == "of this host"
    assert not (root / ".dockerenv").exists()
    assert {name.name for name in root.iterdir()} == {"dev", "etc", "proc", "root", "run", "sys", "tmp"}
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_no_link_of_it_leads_out(tmp_path: Path, root: Path) -> None:
    """Its etc is a link to a folder that, below the root, is its own."""
    (root / "etc").rename(root / "elsewhere")
    (root / "etc").symlink_to("/elsewhere")
    (root / "run").symlink_to(tmp_path)
    (root / "elsewhere/fstab").write_text("x")
    (tmp_path / ".containerenv").touch()
    adopt(root, BASE)
    assert (root / "elsewhere/fstab").read_text() == "" and (tmp_path / ".containerenv").exists()


@pytest.mark.parametrize(("os", "source", "option"), [("debian-13", "r.tar", "base"), ("debian-13", "", "os")])
def test_another_system_is_an_error_at_the_line(root: Path, os: str, source: str, option: str) -> None:
    with pytest.raises(RecipeError, match=rf"^lab.ini:4: \[hardware\] {option}: .*is of debian 12, and"):
        adopt(root, replace(BASE, os=os, source=source))


@pytest.mark.parametrize("target", ["", "etc"])
def test_a_root_without_folders_where_they_belong_is_an_error_at_the_line(root: Path, target: str) -> None:
    """Its etc is a file, or a link to itself."""
    (root / "usr/lib").mkdir(parents=True)
    (root / "etc/os-release").rename(root / "usr/lib/os-release")
    (root / "etc").rmdir()
    (root / "etc").symlink_to(target) if target else (root / "etc").touch()
    with pytest.raises(RecipeError, match=r"^lab.ini:4: \[hardware\] base: .*cannot be made ready: .*another base"):
        adopt(root, BASE)
