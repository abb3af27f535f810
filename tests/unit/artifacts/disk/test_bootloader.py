from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from vmgen_build.artifacts.disk.bootloader import FOLDERS, install
from vmgen_build.errors import BuildError
from vmgen_build.recipe.partitioning import MIB


def root(folder: Path, core: bytes, boot: bytes = b"\xeb\x63" + bytes(508) + b"\x55\xaa") -> Path:
    (folder / FOLDERS[0]).mkdir(parents=True)
    (folder / FOLDERS[0] / "boot.img").write_bytes(boot)
    (folder / FOLDERS[0] / "core.img").write_bytes(core)
    return folder


def test_the_code_goes_before_the_table(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(b"\xee" * 3 * MIB)
    core = bytes(range(256)) * 5 + b"x"
    install(image, root(tmp_path / "root", core))
    data = image.read_bytes()
    assert data[:2] == b"\xeb\x63" and data[440:512] == b"\xee" * 72
    assert struct.unpack_from("<Q", data, 0x5C) == (1,)
    assert struct.unpack_from("<QH", data, 1012) == (2, 2)
    assert data[1024 : 512 + len(core)] == core[512:]
    assert set(data[512 + len(core) :]) == {0xEE}


def test_what_is_no_boot_loader_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(MIB))
    with pytest.raises(BuildError, match=r"no boot loader: /boot/grub/i386-pc/boot\.img: No such file"):
        install(image, tmp_path)
    with pytest.raises(BuildError, match="more than the 1048064 before a partition"):
        install(image, root(tmp_path / "large", bytes(MIB)))
    with pytest.raises(BuildError, match="not what grub-mkimage makes"):
        install(image, root(tmp_path / "empty", b""))
    assert image.read_bytes() == bytes(MIB)


@pytest.mark.parametrize("name", ["boot", "boot/grub", "boot/grub/i386-pc", "boot/grub/i386-pc/core.img"])
def test_issue_8_3_a_link_out_of_the_root_puts_no_file_of_the_host_into_the_image(tmp_path: Path, name: str) -> None:
    """Each part of the path may be the link: absolute, or up and out."""
    image, secret = tmp_path / "disk", b"secret" * 200
    image.write_bytes(bytes(MIB))
    outside = root(tmp_path / "outside", secret)
    for number, target in enumerate((str(outside / name), "../" * 9 + str(outside / name).lstrip("/"))):
        inside = root(tmp_path / f"root{number}", bytes(1000))
        place = inside / name
        place.unlink() if place.is_file() else shutil.rmtree(place)
        place.symlink_to(target)
        with pytest.raises(BuildError, match=r"no boot loader: .*No such file"):
            install(image, inside)
    assert b"secret" not in image.read_bytes()


def test_issue_8_3_a_boot_loader_may_be_a_link_within_the_root_and_has_a_limit(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(MIB))
    inside = root(tmp_path / "root", b"core" * 200)
    (inside / FOLDERS[0] / "core.img").rename(inside / "core")
    (inside / FOLDERS[0] / "core.img").symlink_to("/core")
    install(image, inside)
    assert b"core" * 100 in image.read_bytes()
    (inside / "core").write_bytes(bytes(5 * 10**6))
    with pytest.raises(BuildError, match="the limit 'boot-loader'"):
        install(image, inside)
