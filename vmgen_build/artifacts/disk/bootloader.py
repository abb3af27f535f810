"""GRUB for BIOS in the boot disk's first MiB, made by the guest's own grub-mkimage; what grub-bios-setup would do.

Sector 0 holds the code of boot.img, which loads the first sector of core.img (diskboot.img) from sector 1; that one
holds a list of the blocks that are the rest. GRUB's sources: grub-core/boot/i386/pc/boot.S and diskboot.S,
include/grub/i386/pc/boot.h, util/setup.c.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

from vmgen_build.artifacts.disk.layout import SECTOR
from vmgen_build.errors import BuildError
from vmgen_build.host.beneath import open_beneath, read_beneath
from vmgen_build.limits import BOOT_LOADER
from vmgen_build.recipe.partitioning import MIB

FOLDERS = ("boot/grub/i386-pc", "boot/grub2/i386-pc")
"""Where the guest has boot.img and core.img, by what its distribution calls GRUB's folder."""

CODE = 440
"""Bytes of the first sector that are code; disk id and partition table follow."""

_KERNEL_SECTOR, _BOOT_DRIVE, _DRIVE_CHECK = 0x5C, 0x64, 0x66
_BLOCK_LIST = SECTOR - 12
_TWO_NOPS = b"\x90\x90"


def install(image: Path, root: Path) -> None:
    """Write the boot loader of the system at `root` to the image. Raises BuildError (missing, too large), OSError."""
    folder = _folder(root)
    boot, core = bytearray(_read(root, f"{folder}/boot.img")), bytearray(_read(root, f"{folder}/core.img"))
    if len(boot) != SECTOR or boot[510:] != b"\x55\xaa" or len(core) <= SECTOR:
        raise BuildError(f"/{folder}/boot.img or core.img in the image is not what grub-mkimage makes")
    sectors = -(-len(core) // SECTOR)
    if sectors >= MIB // SECTOR:
        raise BuildError(f"/{folder}/core.img has {len(core)} bytes, more than the {MIB - SECTOR} before a partition")
    struct.pack_into("<Q", boot, _KERNEL_SECTOR, 1)
    boot[_BOOT_DRIVE] = 0xFF
    boot[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _TWO_NOPS
    struct.pack_into("<QH", core, _BLOCK_LIST, 2, sectors - 1)
    with image.open("r+b", buffering=0) as file:
        file.write(boot[:CODE])
        file.seek(SECTOR)
        file.write(core)


def _folder(root: Path) -> str:
    for folder in FOLDERS:
        with suppress(OSError):
            os.close(open_beneath(root, folder, os.O_PATH))
            return folder
    return FOLDERS[0]


def _read(root: Path, path: str) -> bytes:
    """By the root's own links alone."""
    try:
        return read_beneath(root, path, BOOT_LOADER)
    except OSError as error:
        raise BuildError(f"the image has no boot loader: /{path}: {error.strerror}") from error
