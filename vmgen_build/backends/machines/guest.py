"""What makes a root file system the one of a virtual machine: kernel, boot loader, fstab, names, growth, tools.

The step "machine" is the same for all backends that make one, so that they share its layer. It leaves for the disk:

BIOS: /boot/grub/i386-pc/boot.img (its first 440 bytes are the boot sector's code) and core.img (from sector 1 on)
EFI:  /boot/efi/EFI/BOOT/BOOTX64.EFI, the path that firmware looks for on any disk (UEFI specification, 3.5.1.1)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.backends.machines.files import LOADERS
from vmgen_build.backends.machines.probes import vm_probes
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.installers import installer_for
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

__all__ = ["vm_probes", "vm_steps"]

PACKAGES = ("e2fsprogs", "fdisk", "grub2-common", "initramfs-tools", "kmod", "mount", "udev", "zstd")
"""fdisk brings sfdisk(8), by which the root partition grows."""

FS_PACKAGES = {"btrfs": "btrfs-progs", "xfs": "xfsprogs", "vfat": "dosfstools", "ntfs": "ntfs-3g"}

KERNELS = {"amd64": "linux-image-amd64", "i386": "linux-image-686-pae"}

WITHOUT_I386_KERNEL = ("13", "sid")
"""https://www.debian.org/releases/trixie/release-notes/issues.html: i386 has no kernel any more."""

DRIVERS = ("ahci", "ata_piix", "mptsas", "mptspi", "nvme", "sd_mod", "virtio_blk", "virtio_scsi", "vmw_pvscsi")
"""Kernel modules that the initramfs must hold: each disk controller that VMware, VirtualBox or QEMU may offer."""

MODULES = (
    *("part_msdos", "part_gpt", "search", "search_fs_uuid", "normal", "configfile", "linux", "serial", "terminal"),
    *("test", "echo", "ls", "cat", "true", "sleep", "minicmd", "reboot", "halt"),
)
"""What GRUB's image brings itself; all else it finds in /boot/grub."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a hypervisor asks its guests to run. units: to be enabled; others start by udev."""

    backend: str
    units: tuple[str, ...] = ()


TOOLS = {
    "open-vm-tools": Tools("vmware", ("open-vm-tools.service",)),
    "qemu-guest-agent": Tools("kvm"),
}
"""Package -> what it is for. The services start under their own hypervisor alone."""


def vm_steps(recipe: Recipe, machine: Machine, renderer: Renderer, tools: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """The backend's steps of a virtual machine. tools: packages, of those in TOOLS.

    Raises RecipeError for a system that these steps cannot make bootable. What to ask the booted machine: vm_probes.
    """
    _refuse_unbootable(recipe, machine)
    return (_machine_step(recipe, machine, renderer), *(_tools_step(recipe, renderer, name) for name in tools))


def _refuse_unbootable(recipe: Recipe, machine: Machine) -> None:
    system = recipe.hardware.os
    text = ""
    if system.installer != "apt":
        text = f"'{system.name}' is known, but this version makes virtual machines of Debian only; write debian-12"
    elif system.arch not in KERNELS:
        text = f"virtual machines of {system.arch} are not made by this version; write {system.name}-amd64"
    elif system.arch == "i386" and system.version in WITHOUT_I386_KERNEL:
        text = f"{system.name} has no kernel for i386; write {system.name}-amd64, or debian-12-i386"
    elif system.arch == "i386" and machine.firmware == "efi":
        text = f"an i386 kernel does not start from 64-bit EFI; write firmware = bios, or {system.name}-amd64"
    if text:
        raise RecipeError([Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-machine")])


def _machine_step(recipe: Recipe, machine: Machine, renderer: Renderer) -> Step:
    loader = LOADERS[machine.firmware]
    links = dict(vmfiles.link_files(machine))
    root = vmfiles.root_of(machine)[1]
    script = renderer.sh(
        "vm/machine.sh.j2",
        install=installer_for(recipe.hardware.os).install(packages(recipe, machine), recipe.config.recommends),
        mounts=[path for path in vmfiles.mounted(machine) if path != "/"],
        links=list(links),
        keyboard=bool(recipe.config.keyboard),
        grow=vmfiles.grows(machine),
        loader=loader,
        modules=[*loader.modules, *MODULES, vmfiles.GRUB_MODULES[vmfiles.holder(machine, "/boot/grub")[0].fs or ""]],
        drivers=[*DRIVERS, "ext4" if root.fs in vmfiles.EXT else root.fs],
    )
    texts = {
        "fstab": vmfiles.fstab(machine),
        "kernel-img.conf": vmfiles.KERNEL_IMG,
        "initramfs.conf": vmfiles.initramfs_conf(machine),
        "default-grub": vmfiles.DEFAULT_GRUB,
        "early.cfg": vmfiles.early_config(machine),
        "grub.cfg": _grub_config(machine, renderer),
        **links,
        **dict(_scripts(machine, renderer)),
    }
    return Step(
        name="machine",
        title="kernel and boot loader",
        script=script,
        files=tuple(StepFile.of(name, text) for name, text in texts.items()),
        network=True,
        installs=True,
    )


def packages(recipe: Recipe, machine: Machine) -> list[str]:
    """A keyboard layout is for a screen: console-setup applies it at boot."""
    found = {v.fs for _, v in machine.volumes()}
    wanted = {*PACKAGES, KERNELS[machine.arch], LOADERS[machine.firmware].package}
    wanted |= {package for fs, package in FS_PACKAGES.items() if fs in found}
    wanted |= {"console-setup"} if recipe.config.keyboard else set()
    return sorted(wanted)


def _scripts(machine: Machine, renderer: Renderer) -> Iterator[tuple[str, str]]:
    """Programs that the booted machine runs, and their units."""
    yield "name-links", renderer.sh("vm/name-links.sh.j2", names=[nic.name for nic in machine.nics])
    yield "vmgen-names.service", vmfiles.NAMES_UNIT
    if vmfiles.grows(machine):
        size = vmfiles.root_of(machine)[0].size or 0
        yield "grow-root", renderer.sh("vm/grow-root.sh.j2", size=size)
        yield "vmgen-grow.service", vmfiles.GROW_UNIT


def _grub_config(machine: Machine, renderer: Renderer) -> str:
    volume, folder = vmfiles.holder(machine, "/boot")
    return renderer.render(
        "vm/grub.cfg.j2",
        title=machine.os.replace("-", " ").capitalize(),
        uuid=volume.uuid,
        kernel=f"{folder}/vmlinuz".replace("//", "/"),
        initrd=f"{folder}/initrd.img".replace("//", "/"),
        arguments=f"root=UUID={vmfiles.root_of(machine)[1].uuid} ro {vmfiles.CONSOLES}".split(),
    )


def _tools_step(recipe: Recipe, renderer: Renderer, package: str) -> Step:
    tools = TOOLS[package]
    install = installer_for(recipe.hardware.os).install([package], recipe.config.recommends)
    script = renderer.sh("linux/packages.sh.j2", install=install, debconf=[], setup=[], units=tools.units)
    setting = f"{tools.backend}: tools"
    probes = [Probe(package, setting, renderer.sh("linux/probes/packages.sh.j2", packages=[package]), "installed")]
    for unit in tools.units:
        check = renderer.sh("linux/probes/unit.sh.j2", state="is-enabled", unit=unit)
        probes.append(Probe(f"unit-{unit}", setting, check, "enabled"))
    name = f"tools-{tools.backend}"
    title = f"tools for {tools.backend}"
    return Step(name=name, title=title, script=script, network=True, installs=True, probes=tuple(probes))
