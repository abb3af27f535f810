"""Live images: what is on the medium, what firmware finds, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.live import LiveContent, write_live
from vmgen_build.artifacts.live.image import volume_id
from vmgen_build.artifacts.media.eltorito import boot_catalog
from vmgen_build.errors import BuildError

EPOCH = 1700000000
ZSTD = Compression("zstd", 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch/root"
    for name in ("boot", "dev", "etc", "proc/1"):
        (folder / name).mkdir(parents=True)
    (folder / "boot/vmlinuz-6").write_bytes(b"kernel" * 1000)
    (folder / "boot/initrd-6").write_bytes(b"initramfs" * 1000)
    (folder / "boot/vmlinuz").symlink_to("vmlinuz-6")
    (folder / "boot/initrd.img").symlink_to("/boot/initrd-6")
    (folder / "etc/hostname").write_text("hal\n")
    (folder / "dev/null").write_text("")
    (folder / "dev/.udev").write_text("")
    (folder / "etc/fstab").write_text("UUID=1 / ext4 errors=remount-ro 0 1\nUUID=2 /srv ext4 defaults 0 2\n")
    os.utime(folder / "etc/hostname", (5, 5))
    return folder


def made(root: Path, goal: Path, compression: Compression = ZSTD, firmwares: tuple[str, ...] = ("bios", "efi")) -> Path:
    content = LiveContent(
        root=root,
        title="it's a lab",
        kernel="boot/vmlinuz",
        initrd="boot/initrd.img",
        arguments="boot=live console=ttyS0",
        empty=("dev", "proc"),
        ident="0123456789abcdef",
        firmwares=firmwares,
        epoch=EPOCH,
    )
    written = write_live(goal, content, compression, root.parent)
    assert written.size == goal.stat().st_size
    assert [one.name for one in root.parent.iterdir()] == ["root"], "nothing is left"
    return goal


def taken(iso: Path, folder: Path) -> Path:
    """What an independent reader finds on the medium."""
    subprocess.run(["7z", "x", "-y", f"-o{folder}", iso], check=True, capture_output=True)
    return folder


def test_what_is_on_the_medium(root: Path, tmp_path: Path) -> None:
    found = taken(made(root, tmp_path / "a.iso"), tmp_path / "found")
    assert (found / "live/vmlinuz").read_bytes() == b"kernel" * 1000
    assert (found / "live/initrd.img").read_bytes() == b"initramfs" * 1000
    assert (found / ".disk/0123456789abcdef").exists()
    menu = (found / "boot/grub/grub.cfg").read_text()
    assert "menuentry 'it-s a lab' --id vmgen {\n    linux /live/vmlinuz boot=live console=ttyS0\n" in menu
    subprocess.run(["grub-script-check", found / "boot/grub/grub.cfg"], check=True)
    words = ["unsquashfs", "-lls", found / "live/filesystem.squashfs"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "squashfs-root/etc/hostname" in listed and "squashfs-root/dev\n" in listed
    assert "dev/" not in listed and "proc/1" not in listed
    assert "1970-01-01" in listed, "an old file keeps its time"
    assert "2023-11-14" in listed, "a new one has that of the build"


def test_partitions_of_the_recipe_are_not_waited_for(root: Path, tmp_path: Path) -> None:
    found = taken(made(root, tmp_path / "a.iso"), tmp_path / "found") / "live/filesystem.squashfs"
    shown = subprocess.run(
        ["unsquashfs", "-cat", found, "etc/fstab"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.startswith("# A live system") and "UUID" not in shown


def test_firmware_finds_what_to_start(root: Path, tmp_path: Path) -> None:
    """As a CD by El Torito; as a stick by the boot sector and a GPT, whose second partition EFI reads."""
    iso = made(root, tmp_path / "a.iso")
    catalog = boot_catalog(iso)
    assert catalog is not None and catalog.firmware == {"bios", "efi"}
    rows = subprocess.run(["sfdisk", "--dump", iso], capture_output=True, text=True, check=True).stdout.splitlines()
    (esp,) = [row for row in rows if "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in row.upper()]
    start = int(esp.split("start=")[1].split(",")[0]) * 512
    listed = subprocess.run(["mdir", "-i", f"{iso}@@{start}", "-b", "::/EFI/BOOT"], capture_output=True, text=True)
    assert "BOOTX64.EFI" in listed.stdout
    with iso.open("rb") as file:
        assert file.read(512)[510:] == b"\x55\xaa"


def test_a_processor_without_efi(root: Path, tmp_path: Path) -> None:
    catalog = boot_catalog(made(root, tmp_path / "a.iso", firmwares=("bios",)))
    assert catalog is not None and catalog.firmware == {"bios"}


@pytest.mark.parametrize("how", [("zstd", 3), ("xz", 6), ("gzip", 6), ("none", 0)])
def test_the_same_each_time(root: Path, tmp_path: Path, how: tuple[str, int]) -> None:
    first = made(root, tmp_path / "a.iso", Compression(*how)).read_bytes()
    assert made(root, tmp_path / "b.iso", Compression(*how)).read_bytes() == first


def test_a_root_without_a_kernel(root: Path, tmp_path: Path) -> None:
    (root / "boot/vmlinuz-6").unlink()
    with pytest.raises(BuildError, match="no /boot/vmlinuz"):
        made(root, tmp_path / "a.iso")
    assert not list(tmp_path.glob("*.iso"))


def test_a_link_out_of_the_root_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (root / "boot/vmlinuz").unlink()
    (root / "boot/vmlinuz").symlink_to("../../../secret")
    with pytest.raises(BuildError, match="no /boot/vmlinuz"):
        made(root, tmp_path / "a.iso")


@pytest.mark.parametrize(("title", "label"), [("lab", "LAB"), ("my-lab.2", "MY_LAB_2"), ("x" * 40, "X" * 32)])
def test_a_volume_id(title: str, label: str) -> None:
    assert volume_id(title) == label
