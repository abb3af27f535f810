"""The text of a virtual machine's own files: fstab, names of links, what GRUB's image begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from vmgen_build.plan.machine import Drive, Machine, Nic, Volume
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import WholeMachine

CONSOLES = "console=tty0 console=ttyS0,115200"
"""The kernel's arguments for a screen and a serial console. systemd-getty-generator(8) puts a login on the serial one
where the machine has such a port."""

EXT = ("ext2", "ext3", "ext4")

GRUB_MODULES = {**dict.fromkeys(EXT, "ext2"), "btrfs": "btrfs", "xfs": "xfs"}
"""File system -> the module by which GRUB reads it."""

PATIENCE = "x-systemd.device-timeout=5min"
"""systemd.mount(5). By default a file system whose disk shows up 90 s late ends the boot in an emergency shell; where
a processor is emulated on a busy host, that happens."""

BEFORE_SYSTEMD = ("/", "/usr")
"""Mounted by the initramfs, whose mount(8) gives the kernel what it does not know, options of systemd too."""

POINTER = "pointer.cfg"

GROW_UNIT = """\
[Unit]
Description=Grow the root file system onto an enlarged disk
ConditionPathIsReadWrite=/

[Service]
Type=oneshot
ExecStart=/usr/lib/vmgen/grow-root

[Install]
WantedBy=multi-user.target
"""

NAMES_UNIT = """\
[Unit]
Description=Name the network adapters that have other addresses than the recipe says
DefaultDependencies=no
After=systemd-udevd.service systemd-udev-trigger.service
Before={before}
Wants=network-pre.target

[Service]
Type=oneshot
ExecStart=/usr/lib/vmgen/name-links

[Install]
WantedBy=multi-user.target
"""
"""before: the units that bring networks up (WholeMachine.before_network)."""


def root_of(machine: Machine) -> tuple[Drive, Volume]:
    """The volume that is mounted on /; every machine has one (recipe.checks.disks)."""
    return next((drive, volume) for drive, volume in machine.volumes() if volume.mount == "/")


def grows(machine: Machine) -> bool:
    """Whether nothing lies behind the root partition, so that it can take what an enlarged disk offers."""
    drive, root = root_of(machine)
    return [v for v in drive.volumes if v.kind != "logical"][-1] == root


def spelled(mount: str) -> str:
    """A mount point in one spelling: "/home/" and "//home" are "/home"."""
    return normpath(f"/{mount.strip('/')}")


def mounted(machine: Machine) -> dict[str, Volume]:
    """Mount point -> volume, outer ones first: "/", "/home", "/srv", "/srv/data"."""
    found = {spelled(v.mount): v for _, v in machine.volumes() if v.mount and v.fs != "swap"}
    return dict(sorted(found.items(), key=lambda item: (len(PurePosixPath(item[0]).parts), item[0])))


def holder(machine: Machine, path: str) -> tuple[Volume, str]:
    """The volume on which a path of the guest lies, and the path within it."""
    wanted = PurePosixPath(path)
    mount, volume = [item for item in mounted(machine).items() if wanted.is_relative_to(item[0])][-1]
    return volume, normpath(f"/{wanted.relative_to(mount)}")


def fstab(machine: Machine) -> str:
    """fstab(5): each mounted volume by the UUID of its file system, outer mount points first, then swap."""
    lines = [_fstab_line(path, volume) for path, volume in mounted(machine).items()]
    lines += [f"UUID={v.uuid} none swap sw,{PATIENCE} 0 0" for _, v in machine.volumes() if v.fs == "swap"]
    head = "# Written by vmgen-build; fstab(5) says more. blkid(8) shows what has which UUID.\n"
    return head + "".join(f"{line}\n" for line in lines)


def _fstab_line(path: str, volume: Volume) -> str:
    kind = {"ntfs": "ntfs-3g"}.get(volume.fs or "", volume.fs)
    return f"UUID={volume.uuid} {_fstab_word(path)} {kind} {_options(path, volume)} 0 {_fsck_pass(path, volume)}"


def _options(path: str, volume: Volume) -> str:
    if path == "/" and volume.fs in EXT:
        return "errors=remount-ro"
    if path in BEFORE_SYSTEMD:
        return "defaults"
    if volume.kind == "esp":
        return f"umask=0077,{PATIENCE}"
    return f"defaults,nofail,{PATIENCE}" if volume.fs in ("vfat", "ntfs") else f"defaults,{PATIENCE}"


def _fsck_pass(path: str, volume: Volume) -> int:
    """btrfs and xfs check themselves, and ntfs has no fsck(8)."""
    if volume.fs not in (*EXT, "vfat"):
        return 0
    return 1 if path == "/" else 2


def _fstab_word(text: str) -> str:
    """Blanks, and what stands for them, as three octal digits: fstab(5), getmntent(3)."""
    return re.sub(r"[ \t\\#]", lambda match: f"\\{ord(match[0]):03o}", text)


def kernel_arguments(machine: Machine) -> str:
    """What the kernel is started with."""
    return f"root=UUID={root_of(machine)[1].uuid} ro {CONSOLES}"


def boot_files(machine: Machine, whole: WholeMachine) -> dict[str, str]:
    """The family's own files of the boot, with this machine's values put in: WholeMachine.boot_files."""
    checked = {holder(machine, path)[0].fs or "" for path in ("/", "/usr")}
    distributor = machine.os.partition("-")[0].capitalize()
    values = {
        "arguments": kernel_arguments(machine),
        "consoles": CONSOLES,
        "checked": ",".join(sorted(checked)),
        "distributor": distributor,
    }
    return {name: text.format(**values) for name, text in whole.boot_files.items()}


def link_files(machine: Machine) -> Iterator[tuple[str, str]]:
    """systemd.link(5): name and text of a file for each adapter. PermanentMACAddress: a bridge or VLAN above the
    adapter has the same address, but not as its permanent one."""
    for nic in machine.nics:
        yield f"10-vmgen-{nic.name}.link", _link_text(nic)


def names_service(machine: Machine, whole: WholeMachine, renderer: Renderer) -> dict[str, str]:
    """The program that names adapters whose addresses are others, and its unit."""
    return {
        "name-links": renderer.sh("vm/name-links.sh.j2", names=[nic.name for nic in machine.nics]),
        "vmgen-names.service": NAMES_UNIT.format(before=" ".join(whole.before_network)),
    }


def _link_text(nic: Nic) -> str:
    return (
        "# Written by vmgen-build; systemd.link(5) says more.\n"
        f"[Match]\nPermanentMACAddress={nic.hw_addr}\n\n[Link]\nNamePolicy=\nName={nic.name}\n"
    )


def loader_files(machine: Machine, whole: WholeMachine) -> dict[str, str]:
    """What lies beside GRUB's image on the system partition of EFI, as grub-install(8) leaves it: GRUB's image does not
    read it, but virt-v2v converts no EFI machine without it (its linux_bootloaders.ml, detect_bootloader)."""
    if machine.firmware != "efi":
        return {}
    return {POINTER: f"{early_config(machine, whole)}configfile $prefix/grub.cfg\n"}


def early_config(machine: Machine, whole: WholeMachine) -> str:
    """What GRUB's image does before all else: find its folder, whichever disk of the firmware's holds it."""
    volume, folder = holder(machine, whole.grub)
    return f"search.fs_uuid {volume.uuid} root\nset prefix=($root)'{folder}'\n"
