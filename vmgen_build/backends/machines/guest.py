"""What makes a root file system the one of a virtual machine: kernel, boot loader, fstab, names, growth, tools.

All of it depends on [hardware] alone, and so stands before what people edit daily (vm_packages), but for the screen's
keyboard (vm_steps). The steps "packages-machine" and "machine" are the same for all backends that make machines, so
that they share the layers. They leave for the disk:

BIOS: /boot/grub/i386-pc/boot.img (its first 440 bytes are the boot sector's code) and core.img (from sector 1 on)
EFI:  /boot/efi/EFI/BOOT/BOOTX64.EFI, the path that firmware looks for on any disk (UEFI specification, 3.5.1.1)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.backends.machines.probes import vm_probes
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.installers import installer_for
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.steps.files import destination
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems import families
from vmgen_build.systems.model import System, WholeMachine

__all__ = ["vm_packages", "vm_probes", "vm_steps"]

DRIVERS = ("ahci", "ata_piix", "mptsas", "mptspi", "nvme", "sd_mod", "virtio_blk", "virtio_scsi", "vmw_pvscsi")
"""Kernel modules that the initramfs must hold: each disk controller that VMware, VirtualBox or QEMU may offer."""

MODULES = (
    *("part_msdos", "part_gpt", "search", "search_fs_uuid", "normal", "configfile", "linux", "serial", "terminal"),
    *("test", "echo", "ls", "cat", "true", "sleep", "minicmd", "reboot", "halt"),
)
"""What GRUB's image brings itself; all else it finds in /boot/grub."""


def vm_packages(recipe: Recipe, machine: Machine, renderer: Renderer, hypervisor: str) -> tuple[Step, ...]:
    """The steps that make the root bootable, and install the hypervisor's tools for guests (a key of
    WholeMachine.tools), where it has any.

    Raises RecipeError for a system that these steps cannot make bootable. What to ask the booted machine: vm_probes.
    """
    whole = _refuse_unbootable(recipe, machine)
    tools = [_tools_step(recipe, renderer, hypervisor, *whole.tools[hypervisor])] if hypervisor in whole.tools else []
    return (
        _packages_step(recipe, renderer, whole, packages(recipe, machine, whole)),
        _machine_step(recipe, machine, renderer, whole),
        *tools,
    )


def vm_steps(recipe: Recipe, renderer: Renderer) -> tuple[Step, ...]:
    """What of a machine depends on the settings that people edit daily; mostly nothing."""
    folder = recipe.hardware.os.family.templates
    own = [destination(file) for file in recipe.config.files.values()]
    found = []
    if recipe.config.keyboard:
        script = renderer.sh(f"{folder}/screen_keyboard.sh.j2")
        found.append(Step(name="screen-keyboard", title="keyboard of the screen", script=script))
    whole = recipe.hardware.os.family.machine
    if whole is not None and any(_feeds_initramfs(whole, path) for path in own):
        found.append(Step(name="initramfs", title="initramfs", script=renderer.sh(f"{folder}/initramfs.sh.j2")))
    return tuple(found)


def _feeds_initramfs(whole: WholeMachine, path: str) -> bool:
    return any(path.startswith(one) if one.endswith("/") else path == one for one in whole.initramfs_inputs)


def _refuse_unbootable(recipe: Recipe, machine: Machine) -> WholeMachine:
    system = recipe.hardware.os
    whole = system.family.machine
    if text := _why_unbootable(system, whole, machine.firmware):
        raise RecipeError([Problem(recipe.hardware.at("os"), "[hardware] os", text, code="no-machine")])
    assert whole is not None
    return whole


def _why_unbootable(system: System, whole: WholeMachine | None, firmware: str) -> str:
    """ "" where the system boots as a machine with this firmware."""
    if whole is None:
        made = " and ".join(name.capitalize() for name in _machine_distributions())
        return f"'{system.name}' is known, but this version makes virtual machines of {made} only; write debian-12"
    if system.arch not in whole.kernels:
        return f"virtual machines of {system.arch} are not made by this version; write {system.name}-amd64"
    if (system.version, system.arch) in whole.without_kernel:
        return f"{system.name} has no kernel for {system.arch}; write {system.name}-amd64, or debian-12-i386"
    if system.arch == "i386" and firmware == "efi":
        return f"an i386 kernel does not start from 64-bit EFI; write firmware = bios, or {system.name}-amd64"
    return ""


def _machine_distributions() -> list[str]:
    rows = [row for family in families() if family.machine is not None for row in family.distributions]
    return [row.name for row in rows if row.bases]


def packages(recipe: Recipe, machine: Machine, whole: WholeMachine) -> list[str]:
    """Sorted. A keyboard layout is for a screen."""
    found = {v.fs for _, v in machine.volumes()}
    wanted = {*whole.packages, whole.kernels[machine.arch], whole.loaders[machine.firmware].package}
    wanted |= {package for fs, package in whole.file_systems.items() if fs in found}
    wanted |= set(whole.screen_keyboard) if recipe.config.keyboard else set()
    return sorted(wanted)


def _packages_step(recipe: Recipe, renderer: Renderer, whole: WholeMachine, wanted: Sequence[str]) -> Step:
    system = recipe.hardware.os
    install = installer_for(system).install(wanted, recipe.config.recommends)
    return Step(
        name="packages-machine",
        title="kernel and boot loader",
        script=renderer.sh(f"{system.family.templates}/kernel.sh.j2", install=install),
        files=tuple(StepFile.of(name, text) for name, text in whole.kernel_files.items()),
        network=True,
        installs=True,
        packages=tuple(wanted),
    )


def _machine_step(recipe: Recipe, machine: Machine, renderer: Renderer, whole: WholeMachine) -> Step:
    loader = whole.loaders[machine.firmware]
    links = dict(vmfiles.link_files(machine))
    root = vmfiles.root_of(machine)[1]
    script = renderer.sh(
        f"{recipe.hardware.os.family.templates}/machine.sh.j2",
        mounts=[path for path in vmfiles.mounted(machine) if path != "/"],
        links=list(links),
        grow=vmfiles.grows(machine),
        loader=loader,
        modules=[*loader.modules, *MODULES, vmfiles.GRUB_MODULES[vmfiles.holder(machine, "/boot/grub")[0].fs or ""]],
        drivers=[*DRIVERS, "ext4" if root.fs in vmfiles.EXT else root.fs],
    )
    texts = {
        "fstab": vmfiles.fstab(machine),
        **vmfiles.boot_files(machine, whole),
        "early.cfg": vmfiles.early_config(machine),
        "grub.cfg": _grub_config(machine, renderer),
        **links,
        **dict(_scripts(machine, renderer, whole)),
    }
    files = tuple(StepFile.of(name, text) for name, text in texts.items())
    return Step(name="machine", title="disks and boot", script=script, files=files)


def _scripts(machine: Machine, renderer: Renderer, whole: WholeMachine) -> Iterator[tuple[str, str]]:
    """Programs that the booted machine runs, and their units."""
    yield "name-links", renderer.sh("vm/name-links.sh.j2", names=[nic.name for nic in machine.nics])
    yield "vmgen-names.service", vmfiles.NAMES_UNIT.format(before=" ".join(whole.before_network))
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


def _tools_step(recipe: Recipe, renderer: Renderer, hypervisor: str, package: str, units: tuple[str, ...]) -> Step:
    system = recipe.hardware.os
    folder = system.family.templates
    install = installer_for(system).install([package], recipe.config.recommends)
    script = renderer.sh(f"{folder}/packages.sh.j2", install=install, debconf=[], setup=[], units=units)
    setting = f"{hypervisor}: tools"
    check = renderer.sh(f"{folder}/probes/packages.sh.j2", packages=[package])
    probes = [Probe(package, setting, check, "installed")]
    for unit in units:
        check = renderer.sh("linux/probes/unit.sh.j2", state="is-enabled", unit=unit)
        probes.append(Probe(f"unit-{unit}", setting, check, "enabled"))
    name = f"tools-{hypervisor}"
    return Step(
        name=name,
        title=f"tools for {hypervisor}",
        script=script,
        network=True,
        installs=True,
        packages=(package,),
        probes=tuple(probes),
    )
