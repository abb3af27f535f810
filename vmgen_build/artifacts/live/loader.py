"""GRUB on a live image: this host's own, which finds the medium by a file, whatever the firmware started it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.disk.tools import Tools, new_file

MODULES = (
    *("iso9660", "part_msdos", "part_gpt", "search", "search_fs_file", "normal", "configfile", "linux", "serial"),
    *("terminal", "test", "echo", "ls", "cat", "sleep", "minicmd", "reboot", "halt", "gzio"),
)

FOLDERS = {"bios": Path("/usr/lib/grub/i386-pc"), "efi": Path("/usr/lib/grub/x86_64-efi")}
"""Firmware -> this host's modules of GRUB for it."""

MBR = FOLDERS["bios"] / "boot_hybrid.img"
EFI_MODULES = FOLDERS["efi"] / "moddep.lst"

_ESP_SIZE = 8 << 20
"""Bytes of the EFI system partition, which holds GRUB alone."""

_EARLY = "search --no-floppy --file --set=root /.disk/{ident}\nset prefix=($root)/boot/grub\n"


@dataclass(frozen=True, slots=True)
class Boot:
    """bios: path on the medium of what BIOS starts; "" for none. mbr: what a BIOS starts a stick by. efi: image of the
    EFI system partition, or None."""

    bios: str
    mbr: Path
    efi: Path | None


def make(tree: Path, folder: Path, ident: str, firmwares: Sequence[str], tools: Tools) -> Boot:
    """Put GRUB into the tree of the medium. folder: for what lies beside it. Raises as Tools.run."""
    early = folder / "early.cfg"
    early.write_text(_EARLY.format(ident=ident))
    bios = ""
    if "bios" in firmwares:
        bios = "boot/grub/eltorito.img"
        _grub("i386-pc-eltorito", "bios", ("biosdisk",), early, tree / bios, tools)
    efi = _efi(folder, early, tools) if "efi" in firmwares else None
    return Boot(bios, MBR, efi)


def _grub(target: str, firmware: str, modules: Sequence[str], early: Path, goal: Path, tools: Tools) -> None:
    command: list[str | Path] = ["grub-mkimage", "-d", FOLDERS[firmware], "-O", target, "-p", "/boot/grub"]
    tools.run([*command, "-c", early, "-o", goal, *modules, *MODULES])


def _efi(folder: Path, early: Path, tools: Tools) -> Path:
    """The path that firmware looks for on any disk: UEFI specification, 3.5.1.1."""
    program, image = folder / "BOOTX64.EFI", new_file(folder / "efi.img", _ESP_SIZE)
    _grub("x86_64-efi", "efi", ("fat", "efi_gop", "efi_uga"), early, program, tools)
    tools.run(["mkfs.vfat", "--invariant", "-n", "EFI", image])
    tools.run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"])
    tools.run(["mcopy", "-i", image, program, "::/EFI/BOOT/BOOTX64.EFI"])
    return image
