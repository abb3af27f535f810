"""What --compression takes, and that the bytes depend on nothing but the input."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.artifacts.compression import Compression, decompressor, parse_compression
from vmgen_build.errors import HostError, UsageError
from vmgen_build.host.run import run

METHODS = ["zstd:1", "gzip:1", "xz:0"]


@pytest.mark.parametrize(
    ("text", "method", "level", "suffix"),
    [
        ("zstd", "zstd", 3, ".zst"),
        ("zstd:19", "zstd", 19, ".zst"),
        ("gzip", "gzip", 6, ".gz"),
        ("xz:0", "xz", 0, ".xz"),
        ("none", "none", 0, ""),
    ],
)
def test_methods_and_levels(text: str, method: str, level: int, suffix: str) -> None:
    assert parse_compression(text) == Compression(method, level)
    assert parse_compression(text).suffix == suffix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lzma", "unknown method 'lzma'; take one of zstd, gzip, xz, none"),
        ("", "unknown method ''"),
        ("zstd:20", "zstd takes a level from 1 to 19, as in zstd:3"),
        ("zstd:", "zstd takes a level from 1 to 19"),
        ("gzip:0", "gzip takes a level from 1 to 9"),
        ("xz:-1", "xz takes a level from 0 to 9"),
        ("zstd:\u0663", "zstd takes a level"),
        ("none:1", "none takes no level"),
    ],
)
def test_what_no_packer_takes(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_compression(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", METHODS)
def test_the_same_bytes_on_one_core_and_on_all(text: str, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 3 + bytes(30 << 20) + os.urandom(1000)
    source = tmp_path / "data"
    source.write_bytes(data)
    command = parse_compression(text).command()
    assert command is not None
    outputs = []
    for first in ([], ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]):
        with source.open("rb") as file:
            outputs.append(subprocess.run([*first, *command], stdin=file, stdout=subprocess.PIPE, check=True).stdout)
    assert outputs[0] == outputs[1]
    packed = tmp_path / "packed"
    packed.write_bytes(outputs[0])
    undo = decompressor(packed)
    assert undo is not None
    with packed.open("rb") as file:
        assert subprocess.run(undo, stdin=file, stdout=subprocess.PIPE, check=True).stdout == data


def test_what_is_not_compressed_needs_no_program(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.zst"
    path.write_bytes(b"plain, whatever its name says")
    assert decompressor(path) is None
    assert parse_compression("none").command() is None


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"lacks xz; get it with: apt-get install .* xz-utils"):
        run(parse_compression("xz").command() or [])
    gzip = shutil.which("gzip", path="/usr/bin:/bin")
    assert gzip is not None
    (tmp_path / "gzip").symlink_to(gzip)
    command = parse_compression("gzip").command()
    assert command is not None and command[0] == "gzip", "without pigz, gzip does it"
