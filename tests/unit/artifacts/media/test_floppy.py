"""Floppies, read back by mtools and 7-Zip."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from vmgen_build.artifacts.media import write_floppy
from vmgen_build.errors import BuildError

EPOCH = 1700000000
FILES = {"winnt.sif": b"[Data]\r\n" * 100, "steps/first.cmd": b"@echo off\r\n", "steps/B~1.TXT": b"", "empty": b""}

pytestmark = pytest.mark.skipif(shutil.which("mcopy") is None, reason="needs mtools")


def mtools(program: str, image: Path, *words: str) -> bytes:
    env = {**os.environ, "TZ": "UTC", "MTOOLSRC": "/dev/null"}
    return subprocess.run([program, "-i", image, *words], check=True, capture_output=True, env=env).stdout


def test_every_file_is_where_setup_looks_for_it(tmp_path: Path) -> None:
    image = tmp_path / "answers.flp"
    written = write_floppy(FILES, image, epoch=EPOCH)
    assert written.size == image.stat().st_size == 1474560
    for name, content in FILES.items():
        assert mtools("mtype", image, f"::/{name}") == content
    listed = mtools("mdir", image, "-/", "-b", "::").decode().split("\n")
    assert {name for name in listed if name} == {"::/steps/", *(f"::/{name}" for name in FILES)}
    assert b"Volume in drive : is ANSWERS" in mtools("mdir", image, "::")


def test_it_is_a_fat12_of_144_mb_with_short_names_alone(tmp_path: Path) -> None:
    image = tmp_path / "answers.flp"
    write_floppy(FILES, image, epoch=EPOCH)
    data = image.read_bytes()
    assert data[11:13] == (512).to_bytes(2, "little") and data[19:21] == (2880).to_bytes(2, "little")
    assert data[54:62] == b"FAT12   " and data[510:512] == b"\x55\xaa"
    root = data[19 * 512 : (19 + 14) * 512]
    entries = [root[at : at + 32] for at in range(0, len(root), 32) if root[at]]
    assert not any(entry[11] == 0x0F for entry in entries), "a long name is not read by Setup's loader"
    assert b"WINNT   SIF" in {entry[:11] for entry in entries}


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs p7zip-full")
def test_another_reader_agrees(tmp_path: Path) -> None:
    image = tmp_path / "answers.flp"
    write_floppy(FILES, image, epoch=EPOCH)
    subprocess.run(["7z", "x", "-y", f"-o{tmp_path / 'out'}", image], check=True, capture_output=True)
    assert (tmp_path / "out" / "winnt.sif").read_bytes() == FILES["winnt.sif"]
    assert (tmp_path / "out" / "steps" / "first.cmd").read_bytes() == FILES["steps/first.cmd"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_floppy(FILES, tmp_path / "a", epoch=EPOCH)
    second = write_floppy(dict(reversed(FILES.items())), tmp_path / "b", epoch=EPOCH)
    assert first.sha256 == second.sha256
    assert write_floppy(FILES, tmp_path / "c", epoch=EPOCH + 86400).sha256 != first.sha256
    write_floppy(FILES, tmp_path / "d", epoch=0)


def test_its_owner_alone_reads_a_secret_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_floppy(FILES, tmp_path / "a", epoch=EPOCH)
    write_floppy(FILES, tmp_path / "b", epoch=EPOCH, private=False)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o600, 0o644]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"autounattend.xml": b""}, "has not the form of eight letters"),
        ({"a b.txt": b""}, "has not the form"),
        ({"ä.txt": b""}, "has not the form"),
        ({"[x].txt": b""}, "has not the form"),
        ({"nul.txt": b""}, "is the name of a device"),
        ({"../x": b""}, "is no name of a file"),
        ({"a//x": b""}, "is no name of a file"),
        ({"a:x": b""}, "holds ':'"),
        ({"a": b"", "A": b""}, "are one name to Windows"),
        ({"a/x": b"", "A/y": b""}, "are one name to Windows"),
        ({"a": b"", "a/x": b""}, "is a file and a folder"),
        ({"x": bytes(2848 * 512)}, "a floppy holds 1457664 bytes"),
        ({str(n): b"" for n in range(224)}, "223 files in its root"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, files: dict[str, bytes], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        write_floppy(files, tmp_path / "a", epoch=EPOCH)
    assert list(tmp_path.iterdir()) == []


def test_as_much_as_there_is_room_for(tmp_path: Path) -> None:
    image = tmp_path / "a"
    files = {"x": os.urandom(2846 * 512), **{f"f/{n}": b"" for n in range(14)}}
    write_floppy(files, image, epoch=EPOCH)
    assert mtools("mtype", image, "::/x") == files["x"]
    write_floppy({str(n): b"" for n in range(223)}, tmp_path / "b", epoch=EPOCH)
    with pytest.raises(BuildError, match="a floppy holds"):
        write_floppy({**files, "y": b"1"}, image, epoch=EPOCH)
