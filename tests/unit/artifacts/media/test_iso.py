"""CDs, read back by xorriso, isoinfo and 7-Zip."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from vmgen_build.artifacts.media import write_iso
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written

EPOCH = 1700000000
FILES = {
    "autounattend.xml": b"<unattend/>" * 1000,
    "steps/01 first = step.cmd": b"@echo off\r\n",
    "steps/über %x%.ps1": b"exit\r\n",
    "empty": b"",
}

pytestmark = pytest.mark.skipif(shutil.which("xorrisofs") is None, reason="needs xorriso")


def write(folder: Path, files: dict[str, bytes | Path], name: str = "answers.iso", epoch: int = EPOCH) -> Written:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    written = write_iso(files, folder / name, label="ANSWERS", folder=scratch, epoch=epoch)
    assert list(scratch.iterdir()) == []
    return written


def unpacked(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write(tmp_path, {**FILES, "tools/setup.exe": Path("/bin/true")})
    return tmp_path / "answers.iso"


WHOLE = {**FILES, "tools/setup.exe": Path("/bin/true").read_bytes()}


def test_xorriso_reads_what_windows_reads_the_joliet_tree(image: Path, tmp_path: Path) -> None:
    command = ["xorriso", "-no_rc", "-read_fs", "norock", "-indev", image, "-osirrox", "on", "-extract", "/"]
    subprocess.run([*command, tmp_path / "out"], check=True, capture_output=True, env={**os.environ, "TZ": "UTC"})
    assert unpacked(tmp_path / "out") == WHOLE
    times = {path.stat().st_mtime for path in (tmp_path / "out").rglob("*")}
    assert times == {EPOCH}


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs p7zip-full")
def test_another_reader_agrees(image: Path, tmp_path: Path) -> None:
    subprocess.run(["7z", "x", "-y", f"-o{tmp_path / 'out'}", image], check=True, capture_output=True)
    assert unpacked(tmp_path / "out") == WHOLE


@pytest.mark.skipif(shutil.which("isoinfo") is None, reason="needs genisoimage")
def test_its_volume_is_named_and_knows_no_owners(image: Path) -> None:
    described = subprocess.run(["isoinfo", "-d", "-i", image], check=True, capture_output=True, text=True).stdout
    assert (
        "Volume id: ANSWERS\n" in described
        and "Joliet with UCS level 3 found" in described
        and "NO Rock Ridge" in described
    )
    plain = subprocess.run(["isoinfo", "-f", "-i", image], check=True, capture_output=True, text=True).stdout
    assert "/AUTOUNATTEND.XML;1" in plain.split("\n"), "in the root, for a Setup that reads no Joliet too"


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    first = write(tmp_path, {**FILES, "x": tmp_path / "x"}, "a")
    os.utime(tmp_path / "x", (1, 1))
    second = write(tmp_path, {"x": tmp_path / "x", **dict(reversed(FILES.items()))}, "b")
    assert first.sha256 == second.sha256
    assert write(tmp_path, {**FILES, "x": tmp_path / "x"}, "c", EPOCH + 86400).sha256 != first.sha256
    write(tmp_path, {"x": b""}, "d", 0)


def test_its_owner_alone_reads_a_secret(tmp_path: Path) -> None:
    write(tmp_path, dict(FILES))
    assert stat.S_IMODE((tmp_path / "answers.iso").stat().st_mode) == 0o600
    write_iso({}, tmp_path / "b", label="X", folder=tmp_path, epoch=EPOCH, private=False)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x" * 65, "longer than the 64 characters"),
        ("a;1", "holds ';'"),
        ("\U0001f600.txt", "beyond U"),
        ("com1.txt", "is the name of a device"),
        ("a\nb", "no name of Windows does"),
        ("a?b", "no name of Windows does"),
        ("x./y", "ends in a dot or a blank"),
        ("/x", "is no name of a file"),
        ("1/2/3/4/5/6/7/8/9", "too deep"),
        ("Autounattend.xml", "are one name to Windows"),
        ("empty/x", "is a file and a folder"),
    ],
)
def test_what_windows_could_not_read_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(BuildError, match=text):
        write(tmp_path, {**FILES, name: b""})
    assert not (tmp_path / "answers.iso").exists()


def test_a_file_that_is_too_large_or_not_there(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 << 30)
    with pytest.raises(BuildError, match="larger than the 4 GiB"):
        write(tmp_path, {"x": tmp_path / "large"})
    with pytest.raises(BuildError, match="cannot read"):
        write(tmp_path, {"x": tmp_path / "nowhere"})


def test_the_longest_and_deepest_names_pass(tmp_path: Path) -> None:
    names = ["x" * 64, "ü" * 64, "1/2/3/4/5/6/7/8", *(f"same beginning of names {n}" for n in range(20))]
    files: dict[str, bytes | Path] = {name: name.encode() for name in names}
    write(tmp_path, files)
    command = ["xorriso", "-no_rc", "-read_fs", "norock", "-indev", tmp_path / "answers.iso", "-osirrox", "on"]
    subprocess.run([*command, "-extract", "/", tmp_path / "out"], check=True, capture_output=True)
    assert unpacked(tmp_path / "out") == files


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write"):
        write_iso({}, tmp_path / "none" / "x.iso", label="X", folder=tmp_path, epoch=EPOCH)
    assert list(tmp_path.iterdir()) == []
