"""What a medium says of how it starts a machine: media of xorriso's, and what is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.artifacts.media import boot_catalog

ENTRY = 32

pytestmark = pytest.mark.skipif(not shutil.which("xorrisofs"), reason="needs xorriso")


def medium(folder: Path, *words: str) -> Path:
    (folder / "tree").mkdir(exist_ok=True)
    for name in ("bios.img", "efi.img"):
        (folder / "tree" / name).write_bytes(bytes(2048))
    image = folder / "medium.iso"
    command = ["xorrisofs", "-quiet", "-J", *words, "-o", str(image), str(folder / "tree")]
    subprocess.run(command, check=True, capture_output=True)
    return image


BIOS = ("-b", "bios.img", "-no-emul-boot", "-boot-load-size", "4")
EFI = ("-e", "efi.img", "-no-emul-boot")


@pytest.mark.parametrize(
    ("words", "firmware"),
    [(BIOS, {"bios"}), (EFI, {"efi"}), ((*BIOS, "-eltorito-alt-boot", *EFI), {"bios", "efi"})],
)
def test_what_firmware_a_medium_is_started_by(tmp_path: Path, words: tuple[str, ...], firmware: set[str]) -> None:
    found = boot_catalog(medium(tmp_path, *words[:3], "-eltorito-id", "A maker of media", *words[3:]))
    assert found is not None
    assert (found.firmware, found.maker) == (firmware, "A maker of media")


def test_a_medium_that_starts_nothing(tmp_path: Path) -> None:
    assert boot_catalog(medium(tmp_path)) is None


@pytest.mark.parametrize("content", [b"", bytes(17 * 2048), bytes(17 * 2048) + b"\0CD001\1EL TORITO SPECIFICATION"])
def test_what_is_cut_off_starts_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cut.iso").write_bytes(content)
    assert boot_catalog(tmp_path / "cut.iso") is None


def test_a_catalog_without_its_key_is_none(tmp_path: Path) -> None:
    image = medium(tmp_path, *BIOS)
    data = bytearray(image.read_bytes())
    at = int.from_bytes(data[17 * 2048 + 0x47 : 17 * 2048 + 0x4B], "little") * 2048
    assert data[at + ENTRY - 2 : at + ENTRY] == b"\x55\xaa"
    data[at + ENTRY - 2] = 0
    image.write_bytes(data)
    assert boot_catalog(image) is None
