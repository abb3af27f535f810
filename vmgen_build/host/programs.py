"""Programs of this host: where they are, and what to say where one is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from vmgen_build.errors import HostError
from vmgen_build.host.system import how_to_get

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Folders of system tools, which an ordinary user's PATH lacks; the last to be looked in."""

PACKAGES = {
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mkswap": "util-linux",
    "nsenter": "util-linux",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mmd": "mtools",
    "xorrisofs": "xorriso",
    "mksquashfs": "squashfs-tools",
    "sqfs2tar": "squashfs-tools-ng",
    "blkid": "util-linux",
    "grub-mkimage": "grub-common",
    "/usr/lib/grub/i386-pc/boot_hybrid.img": "grub-pc-bin",
    "/usr/lib/grub/x86_64-efi/moddep.lst": "grub-efi-amd64-bin",
    "mkntfs": "ntfs-3g",
    "ntfslabel": "ntfs-3g",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "lxc-execute": "lxc",
    "lxc-start": "lxc",
    "lxc-attach": "lxc",
    "lxc-stop": "lxc",
    "lxc-info": "lxc",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "xz": "xz-utils",
    "pacman-key": "pacman-package-manager",
}
"""Program, or file that a program reads -> the Debian package that brings it, where their names differ."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program of the host that some work needs, or the whole path of a file; package: Debian's name of what brings
    it; why: "packs the image"."""

    command: str
    package: str
    why: str = ""


def search_path() -> str:
    """The PATH by which programs are found and run."""
    return f"{os.environ.get('PATH') or os.defpath}:{SYSTEM_FOLDERS}"


def find_program(command: str) -> str | None:
    """Where a program is; a file by its whole path need not be one."""
    mode = os.F_OK if command.startswith("/") else os.F_OK | os.X_OK
    return shutil.which(command, mode=mode, path=search_path())


def needed(command: str, why: str = "") -> Requirement:
    """What some work needs, with the package that brings it."""
    return Requirement(command, PACKAGES.get(command, command), why)


def missing(requirements: Iterable[Requirement]) -> HostError:
    """The one message for programs that this host lacks."""
    lacking = sorted(set(requirements), key=lambda r: r.command)
    what = ", ".join(f"{r.command} ({r.why})" if r.why else r.command for r in lacking)
    return HostError(f"this host lacks {what}; {how_to_get(r.package for r in lacking)}")


def require_programs(requirements: Iterable[Requirement]) -> None:
    """Raises HostError naming what this host lacks, and the command that gets it."""
    lacking = [r for r in requirements if find_program(r.command) is None]
    if lacking:
        raise missing(lacking)


def require_root(what: str, instead: str = "") -> None:
    """what: the work as a sentence, ending in why it needs root; instead: what needs none. Raises HostError."""
    if os.geteuid() != 0:
        raise HostError(f"{what}: run it with sudo{instead and '; '}{instead}")
