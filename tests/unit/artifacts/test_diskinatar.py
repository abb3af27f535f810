"""One file out of a tar of others, and no other thing."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmgen_build.artifacts import diskinatar
from vmgen_build.artifacts.diskinatar import take_disk
from vmgen_build.errors import BuildError
from vmgen_build.limits import Limit


def archive(path: Path, *entries: tuple[str, bytes | None]) -> Path:
    """Name and content of each; None: a link to /etc/shadow."""
    with tarfile.open(path, "w") as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/shadow"
            info.size = len(data or b"")
            tar.addfile(info, io.BytesIO(data or b""))
    return path


def taken(path: Path, goal: Path) -> bytes:
    with path.open("rb") as source:
        take_disk(source, "rootfs.img", goal)
    return goal.read_bytes()


@pytest.mark.parametrize("name", ["rootfs.img", "./rootfs.img"])
@pytest.mark.parametrize("program", [None, "xz", "gzip", "zstd"])
def test_the_disk_alone_is_taken(tmp_path: Path, name: str, program: str | None) -> None:
    path = archive(tmp_path / "i", ("../out", b"x"), ("metadata.yaml", b"y" * 2000), (name, b"disk" * 999), ("z", b""))
    if program:
        packed = subprocess.run([program, "-q", "-c"], input=path.read_bytes(), capture_output=True, check=True)
        path.write_bytes(packed.stdout)
    assert taken(path, tmp_path / "goal") == b"disk" * 999
    assert {one.name for one in tmp_path.iterdir()} == {"i", "goal"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((("other", b"x"),), "holds no rootfs.img"),
        ((("rootfs.img", None),), "holds no rootfs.img"),
        ((("rootfs/rootfs.img", b"x"),), "holds no rootfs.img"),
    ],
    ids=["not there", "a link", "elsewhere"],
)
def test_what_has_no_disk(tmp_path: Path, entries: tuple[tuple[str, bytes | None], ...], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        taken(archive(tmp_path / "i", *entries), tmp_path / "goal")
    assert not (tmp_path / "goal").exists()


def test_one_that_is_cut_off(tmp_path: Path) -> None:
    path = archive(tmp_path / "i", ("rootfs.img", b"x" * 5000))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BuildError, match="is no whole tar: the archive ends within a file"):
        taken(path, tmp_path / "goal")


def test_one_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskinatar, "UNPACKED", Limit("image-unpacked", "x", 1000))
    with pytest.raises(BuildError, match="too large: it is more than the limit 'image-unpacked'"):
        taken(archive(tmp_path / "i", ("rootfs.img", b"x" * 1001)), tmp_path / "goal")
    assert not (tmp_path / "goal").exists()


def test_what_is_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(b"\x28\xb5\x2f\xfd no zstd")
    with pytest.raises(BuildError, match="is no whole tar"):
        taken(tmp_path / "i", tmp_path / "goal")
