"""What lies on a volume is measured the same whatever the host's file system makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk.content import extents, inside, measure, normal
from vmgen_build.artifacts.disk.layout import Content
from vmgen_build.artifacts.disk.tools import ToolFailed, Tools, copy_data, new_file
from vmgen_build.errors import BuildError, HostError

MIB = 1 << 20


def test_measure(tmp_path: Path) -> None:
    assert measure(tmp_path) == Content(4096, 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * 4097)
    os.link(tmp_path / "folder" / "file", tmp_path / "link")
    (tmp_path / "short").symlink_to("x" * 59)
    (tmp_path / "long").symlink_to("x" * 60)
    os.truncate(new_file(tmp_path / "sparse", 0), 1 << 40)
    assert measure(tmp_path) == Content(4096 * 2 + 8192 + 4096, 6)


def test_mount_points(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "srv").symlink_to("/var")
    (tmp_path / "file").touch()
    assert normal("/home/") == normal("//home") == "/home" and normal("/") == "/"
    assert inside(tmp_path, "/") == tmp_path
    assert inside(tmp_path, "/var") == tmp_path / "var"
    assert inside(tmp_path, "/var/none/below") is None
    with pytest.raises(BuildError, match="/srv is a symbolic link in the image, so nothing can be mounted on /srv/x"):
        inside(tmp_path, "/srv/x")
    with pytest.raises(BuildError, match="/file is no folder in the image"):
        inside(tmp_path, "/file")


def test_only_data_are_copied(tmp_path: Path) -> None:
    source, image = new_file(tmp_path / "source", 64 * MIB), new_file(tmp_path / "image", 80 * MIB)
    with source.open("r+b") as file:
        file.seek(5 * MIB + 100)
        file.write(b"here")
        file.seek(30 * MIB)
        file.write(bytes(8 * MIB))
        file.seek(64 * MIB - 1)
        file.write(b"!")
    with source.open("rb") as reader, image.open("r+b") as writer:
        copy_data(reader.fileno(), writer.fileno(), 10 * MIB)
    data = image.read_bytes()
    assert data[10 * MIB : 74 * MIB] == source.read_bytes()
    assert not any(data[: 10 * MIB]) and not any(data[74 * MIB :])
    with image.open("rb") as file:
        assert sum(end - start for start, end in extents(file.fileno())) <= 2 * MIB


def test_tools_report_what_failed(tmp_path: Path) -> None:
    tools = Tools(tmp_path, 0)
    with pytest.raises(
        HostError, match=r"this host lacks mkfs\.nothing; get it with: apt-get install .* mkfs\.nothing"
    ):
        tools.run(["mkfs.nothing"])
    with pytest.raises(ToolFailed, match="packing failed: sh: no way"):
        tools.run(["sh", "-c", "echo no way >&2; exit 3"])
    tools.run(["sh", "-c", 'test "$SOURCE_DATE_EPOCH:$(cat)" = 1:given && test "$HOME" = "$PWD"'], text="given")


def test_progress_is_what_the_images_hold(tmp_path: Path) -> None:
    received: list[int] = []
    tools = Tools(tmp_path, 0, received.append)
    tools.images.append(new_file(tmp_path / "image", 10 * MIB))
    tools.run(["sh", "-c", "head -c 2000000 /dev/zero | tr '\\0' x > image; sync image; sleep 0.5"])
    assert received[-1] >= 2_000_000
