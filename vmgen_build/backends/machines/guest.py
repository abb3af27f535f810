"""What makes a root file system the one of a virtual machine: kernel, boot loader, fstab, names, growth, tools.

All of it depends on [hardware] alone, and so stands before what people edit daily (vm_packages), but for the screen's
keyboard (vm_steps). The steps "packages-machine" and "machine" are the same for all backends that make machines, so
that they share the layers. They leave for the disk:

BIOS: i386-pc/boot.img (its first 440 bytes are the boot sector's code) and core.img (from sector 1 on) in GRUB's folder
EFI:  /boot/efi/EFI/BOOT/BOOTX64.EFI, the path that firmware looks for on any disk (UEFI specification, 3.5.1.1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.backends.machines.probes import vm_probes
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.installers import installer_for
from vmgen_build.plan.context import manner
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.plan.model import Part, Probe, Step, StepFile
from vmgen_build.plan.steps.files import destination
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems import families
from vmgen_build.systems.model import System, WholeMachine

__all__ = ["vm_packages", "vm_part", "vm_probes", "vm_steps"]

DRIVERS = (
    *("ahci", "ata_piix", "hv_storvsc", "hv_vmbus", "mptsas", "mptspi", "nvme", "sd_mod", "virtio_blk", "virtio_scsi"),
    "vmw_pvscsi",
)
"""Kernel modules that the initramfs must hold: each disk controller that VMware, VirtualBox, QEMU or Hyper-V may
offer. Adapters need none there: theirs come from the root file system."""

CONTROLLERS = {
    "ide": ("ata_piix", "v00008086d00007111"),
    "sata": ("ahci", "bc01sc06"),
    "nvme": ("nvme", "bc01sc08"),
    "lsilogic": ("mptspi", "v00001000d00000030"),
    "pvscsi": ("vmw_pvscsi", "v000015ADd000007C0"),
}
"""Drive.kind -> the kernel module of VMware's, and what one that drives it has in its aliases
(modinfo(8)): maker and device, or class, as the PCI IDs have them."""

MODULES = (
    *("part_msdos", "part_gpt", "search", "search_fs_uuid", "normal", "configfile", "linux", "serial", "terminal"),
    *("test", "echo", "ls", "cat", "true", "sleep", "minicmd", "reboot", "halt"),
)
"""What GRUB's image brings itself; all else it finds in its folder."""


def vm_part(recipe: Recipe, renderer: Renderer, hypervisor: str, build_recipe: Mapping[str, str]) -> Part:
    """A backend's share of the plan, with its own build recipe. A system that its own installation (Setup) puts onto
    the disks has no steps of a hypervisor's: all of them need packages of the system's own."""
    if recipe.hardware.os.needs is not None:
        return Part(build_recipe=build_recipe)
    machine = machine_of(recipe)
    return Part(
        packages=vm_packages(recipe, machine, renderer, hypervisor),
        steps=vm_steps(recipe, renderer),
        build_recipe=build_recipe,
        probes=vm_probes(machine, recipe.hardware.os.family, renderer),
    )


def vm_packages(recipe: Recipe, machine: Machine, renderer: Renderer, hypervisor: str) -> tuple[Step, ...]:
    """The steps that make the root bootable, and install the hypervisor's tools for guests (a key of
    WholeMachine.tools), where it has any.

    Raises RecipeError for a system that these steps cannot make bootable. What to ask the booted machine: vm_probes.
    """
    whole = _refuse_unbootable(recipe, machine)
    return (
        _packages_step(recipe, renderer, whole, packages(recipe, machine, whole)),
        _machine_step(recipe, machine, renderer, whole),
        *tools_steps(recipe, renderer, hypervisor),
    )


def tools_steps(recipe: Recipe, renderer: Renderer, hypervisor: str) -> tuple[Step, ...]:
    """The one that installs the hypervisor's tools for guests, where the family has a package of them."""
    whole = recipe.hardware.os.family.machine
    if whole is None or hypervisor not in whole.tools:
        return ()
    return (_tools_step(recipe, renderer, hypervisor, *whole.tools[hypervisor]),)


def vm_steps(recipe: Recipe, renderer: Renderer) -> tuple[Step, ...]:
    """What of a machine depends on the settings that people edit daily; mostly nothing."""
    folder = recipe.hardware.os.family.templates
    found = []
    whole = recipe.hardware.os.family.machine
    if recipe.config.keyboard and whole is not None and whole.screen_keyboard:
        script = renderer.sh(f"{folder}/screen_keyboard.sh.j2")
        found.append(Step(name="screen-keyboard", title="keyboard of the screen", script=script))
    return (*found, *initramfs_steps(recipe, renderer))


def initramfs_steps(recipe: Recipe, renderer: Renderer) -> tuple[Step, ...]:
    """The one that makes the initramfs anew, where files of the recipe's go into it."""
    family, own = recipe.hardware.os.family, [destination(file) for file in recipe.config.files.values()]
    if family.machine is None or not any(_feeds_initramfs(family.machine, path) for path in own):
        return ()
    return (Step(name="initramfs", title="initramfs", script=renderer.sh(f"{family.templates}/initramfs.sh.j2")),)


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
        return (
            f"'{system.name}' is known, but this version makes no virtual machines of it; write debian-12, or a release"
            f" of {' or '.join(_machine_distributions())}"
        )
    if system.arch not in whole.kernels:
        return f"virtual machines of {system.arch} are not made by this version; write {system.name}-amd64"
    if (since := whole.since.get(system.distribution)) is not None and not system.kernel:
        first = f", but of {system.distribution}-{since} on" if since else ""
        return f"no virtual machines of {system.name} are made{first}; write {_example(since, system)}"
    if not system.kernel:
        return f"{system.name} has no kernel for {system.arch}; write {system.name}-amd64, or debian-12-i386"
    if system.arch == "i386" and firmware == "efi":
        return f"an i386 kernel does not start from 64-bit EFI; write firmware = bios, or {system.name}-amd64"
    return ""


def _example(since: int, system: System) -> str:
    return f"{system.distribution}-{since}" if since else "debian-12"


def _machine_distributions() -> list[str]:
    rows = [
        (family.machine, row) for family in families() if family.machine is not None for row in family.distributions
    ]
    return [row.name for whole, row in rows if row.bases and whole.since.get(row.name) != 0]


def packages(recipe: Recipe, machine: Machine, whole: WholeMachine) -> list[str]:
    """Sorted. A keyboard layout is for a screen."""
    found = {v.fs for _, v in machine.volumes()}
    wanted = {*whole.packages, recipe.hardware.os.kernel, whole.loaders[machine.firmware].package}
    wanted |= {package for fs, package in whole.file_systems.items() if fs in found}
    wanted |= set(whole.screen_keyboard) if recipe.config.keyboard else set()
    return sorted(wanted)


def _packages_step(recipe: Recipe, renderer: Renderer, whole: WholeMachine, wanted: Sequence[str]) -> Step:
    system = recipe.hardware.os
    install = installer_for(system).install(wanted, manner(recipe))
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
    boot = vmfiles.holder(machine, "/boot")[1]
    root = vmfiles.root_of(machine)[1]
    script = renderer.sh(
        f"{recipe.hardware.os.family.templates}/machine.sh.j2",
        mounts=[path for path in vmfiles.mounted(machine) if path != "/"],
        links=list(links),
        grow=vmfiles.grows(machine),
        loader=loader,
        pointer=vmfiles.POINTER if machine.firmware == "efi" else None,
        modules=[*loader.modules, *MODULES, vmfiles.GRUB_MODULES[vmfiles.holder(machine, whole.grub)[0].fs or ""]],
        drivers=[*DRIVERS, "ext4" if root.fs in vmfiles.EXT else root.fs],
        needed=_own_drivers(machine),
        grub=whole.grub,
        tools=_grub_tools(whole),
        initrd=whole.initrd,
        entries=f"/boot/{whole.entries}",
        boot=boot.rstrip("/"),
    )
    texts = {
        "fstab": vmfiles.fstab(machine),
        **vmfiles.boot_files(machine, whole),
        "early.cfg": vmfiles.early_config(machine, whole),
        "grub.cfg": _grub_config(machine, renderer, whole),
        **vmfiles.loader_files(machine, whole),
        **links,
        **dict(_scripts(machine, renderer, whole)),
    }
    files = tuple(StepFile.of(name, text) for name, text in texts.items())
    return Step(name="machine", title="disks and boot", script=script, files=files)


def _scripts(machine: Machine, renderer: Renderer, whole: WholeMachine) -> Iterator[tuple[str, str]]:
    """Programs that the booted machine runs, and their units."""
    yield from vmfiles.names_service(machine, whole, renderer).items()
    if vmfiles.grows(machine):
        size = vmfiles.root_of(machine)[0].size or 0
        yield "grow-root", renderer.sh("vm/grow-root.sh.j2", size=size)
        yield "vmgen-grow.service", vmfiles.GROW_UNIT


def _own_drivers(machine: Machine) -> list[tuple[str, str]]:
    """CONTROLLERS of its disks."""
    return sorted({CONTROLLERS[drive.kind] for drive in machine.drives})


def _grub_tools(whole: WholeMachine) -> str:
    """What the names of GRUB's programs begin with."""
    return PurePosixPath(whole.grub).name


def _grub_config(machine: Machine, renderer: Renderer, whole: WholeMachine) -> str:
    volume, folder = vmfiles.holder(machine, "/boot")
    boot = folder.rstrip("/")
    return renderer.render(
        "vm/grub.cfg.j2",
        title=machine.os.replace("-", " ").capitalize(),
        uuid=volume.uuid,
        kernel=f"{boot}/vmlinuz",
        initrd=f"{boot}/{whole.initrd}",
        entries=whole.entries and f"{boot}/{whole.entries}",
        arguments=vmfiles.kernel_arguments(machine).split(),
    )


def _tools_step(recipe: Recipe, renderer: Renderer, hypervisor: str, package: str, units: tuple[str, ...]) -> Step:
    system = recipe.hardware.os
    installer = installer_for(system)
    install = installer.install([package], manner(recipe))
    script = renderer.sh("linux/packages.sh.j2", install=install, debconf=[], setup=[], units=units)
    setting = f"{hypervisor}: tools"
    check = renderer.sh("linux/probes/packages.sh.j2", check=installer.is_installed([package]))
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
