"""What travels to a guest is the same by folder and by tar, and a source that changes meanwhile is noticed."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests import delivery
from vmgen_build.guests.delivery import Item, items_of, packed, write_items
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.secret import Secret

STAMP = 1700000000


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(os.urandom(300_000))
    return path


@pytest.fixture()
def items(source: Path) -> tuple[Item, ...]:
    step = Step(
        name="files",
        title="",
        script="#!/bin/sh\n",
        files=(
            StepFile.of("small", "text", 0o755),
            StepFile("large", hashlib.sha256(source.read_bytes()).hexdigest(), 0o640, source=source),
        ),
        secrets={"passwords": Secret("root:$6$canary")},
    )
    return items_of(step, {"apt.conf": b"x;\n"}, STAMP)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (stat.S_IMODE(p.stat().st_mode), p.read_bytes()) for p in files}


def test_the_folder_and_the_tar_hold_the_same(items: tuple[Item, ...], source: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    write_items(items, folder)
    with packed(items) as stream, tarfile.open(fileobj=stream) as tar:
        tar.extractall(other)
    assert contents(folder) == contents(other)
    assert contents(folder) == {
        "script": (0o500, b"#!/bin/sh\n"),
        "apt.conf": (0o644, b"x;\n"),
        "files/small": (0o755, b"text"),
        "files/large": (0o640, source.read_bytes()),
        "secrets/passwords": (0o400, b"root:$6$canary"),
    }
    for top in (folder, other):
        assert stat.S_IMODE((top / "secrets").stat().st_mode) == 0o700
        assert (top / "apt.conf").stat().st_mtime == STAMP


@pytest.mark.parametrize("change", ["other bytes", "shorter", "longer", "gone"])
def test_a_source_that_changed_is_noticed_by_both(
    items: tuple[Item, ...], source: Path, tmp_path: Path, change: str
) -> None:
    before = source.read_bytes()
    changed = {"other bytes": b"x" * len(before), "shorter": before[:1000], "longer": before + b"x", "gone": None}
    new = changed[change]
    source.write_bytes(new) if new is not None else source.unlink()
    (tmp_path / "folder").mkdir()
    with pytest.raises(BuildError, match=r"source\.bin .*run the build again"):
        write_items(items, tmp_path / "folder")
    with pytest.raises(BuildError, match=r"source\.bin .*run the build again"), packed(items):
        pass


def test_a_source_that_shrinks_while_it_is_packed(
    items: tuple[Item, ...], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size stands in the tar's header before its bytes do."""
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        if found.st_ino == source.stat().st_ino:
            os.truncate(source, 1000)
        return found

    monkeypatch.setattr(delivery.os, "fstat", fstat)
    with pytest.raises(BuildError, match="was changed while the build ran"), packed(items):
        pass


def test_no_secret_is_packed_into_a_file(items: tuple[Item, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SMALL", 1)
    with packed(items) as stream:
        assert os.readlink(f"/proc/self/fd/{stream.fileno()}").startswith("/memfd:")
    plain = [item for item in items if not item.secret]
    with packed(plain) as stream:
        assert not os.readlink(f"/proc/self/fd/{stream.fileno()}").startswith("/memfd:")
    monkeypatch.setattr(delivery, "SMALL", 1 << 20)
    with packed(plain) as stream:
        assert isinstance(stream, io.BytesIO)
