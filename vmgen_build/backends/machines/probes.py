"""What a booted virtual machine is asked: kernel, boot loader, volumes, consoles, names of links."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.plan.machine import Machine, Nic, Volume
from vmgen_build.plan.model import Probe
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import Family, WholeMachine

BOOT_WAIT = 30.0
"""Seconds that a probe grants what starts late in a boot."""

MOUNTED_AS = {"ntfs": "fuseblk"}
"""File system -> what mount(8) calls it, where that differs."""


def vm_probes(machine: Machine, family: Family, renderer: Renderer) -> tuple[Probe, ...]:
    """What shows that the machine's own steps (backends.machines.guest) did their work."""
    volumes = (_volume_probe(f"{drive.name}-{v.option}", v, renderer) for drive, v in machine.volumes() if v.fs)
    return (*_boot_probes(machine, family, renderer), *volumes, *link_probes(machine, renderer))


def _boot_probes(machine: Machine, family: Family, renderer: Renderer) -> Iterator[Probe]:
    sh = renderer.sh
    yield Probe("kernel", "kernel", sh(f"{family.templates}/probes/kernel.sh.j2"), "the newest that is installed")
    if family.machine is not None:
        script = sh("vm/probes/loader.sh.j2", **_loader_values(family.machine, machine))
        yield Probe("boot-loader", "boot loader", script, f"GRUB for {machine.firmware}")
    yield Probe("fstab", "fstab", sh("vm/probes/fstab.sh.j2"), "no errors")
    script = sh("vm/probes/consoles.sh.j2", consoles=vmfiles.CONSOLES)
    yield Probe("consoles", "screen and serial console", script, "logins on tty1 and ttyS0", retry=BOOT_WAIT)
    units = ["vmgen-names.service", *(["vmgen-grow.service"] if vmfiles.grows(machine) else [])]
    for unit in units:
        yield Probe(f"unit-{unit}", "first boot", sh("vm/probes/oneshot.sh.j2", unit=unit), "success", retry=BOOT_WAIT)


def _loader_values(whole: WholeMachine, machine: Machine) -> dict[str, object]:
    loader = whole.loaders[machine.firmware]
    efi = machine.firmware == "efi"
    return {"image": loader.image, "grub": whole.grub, "target": loader.target, "efi": efi}


def _volume_probe(name: str, volume: Volume, renderer: Renderer) -> Probe:
    fs, label = volume.fs or "", volume.label or ""
    place, state = _place(volume)
    script = renderer.sh(
        "vm/probes/volume.sh.j2",
        uuid=volume.uuid,
        place=place,
        fs=fs,
        mounted_as=MOUNTED_AS.get(fs, fs),
        label=label,
    )
    expected = f"{fs} {state} {label}".rstrip()
    return Probe(f"volume-{name}", f"[hardware] {name}", script, expected)


def _place(volume: Volume) -> tuple[str, str]:
    """Where the booted machine has the volume, "" for nowhere; and what the probe expects of it."""
    if volume.fs == "swap":
        return "swap", "in use"
    if not volume.mount:
        return "", "not mounted"
    mount = vmfiles.spelled(volume.mount)
    return mount, f"on {mount}"


def link_probes(machine: Machine, renderer: Renderer) -> tuple[Probe, ...]:
    """Whether each adapter bears the recipe's name for it."""
    return tuple(_link_probe(nic, renderer) for nic in machine.nics)


def _link_probe(nic: Nic, renderer: Renderer) -> Probe:
    script = renderer.sh("vm/probes/link.sh.j2", link=nic.name, address=nic.hw_addr)
    return Probe(f"{nic.name}-hw-addr", f"[hardware] {nic.name}: hw_addr", script, nic.hw_addr)
