"""The libvirt domain of a machine (https://libvirt.org/formatdomain.html), for QEMU with KVM.

The devices are those that the recipe names where every QEMU has them. Of VMware's own, which distributions leave out of
theirs, each is the virtio device of the same kind: virtio-scsi for lsilogic and pvscsi, virtio for vmxnet3; and an NVMe
disk is virtio-blk, for libvirt makes no NVMe disk from a file. IDE disks take the older chipset, which has IDE.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from string import ascii_lowercase

from vmgen_build.backends.machines.disks import cd_name, disk_names
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Drive, Machine, Nic
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML
from vmgen_build.systems.parse import parse_system

TEMPLATE = "kvm/domain.xml.j2"
IMAGES = "/var/lib/libvirt/images"
"""Where libvirt's own pool has its images, and where its security drivers allow them. A domain names whole paths."""

_ARCHITECTURES = {"amd64": "x86_64", "i386": "i686"}
BRIDGE = "br0"
"""What a bridged adapter joins, where the recipe names no bridge."""

MODELS = {"e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "virtio", "pcnet32": "pcnet"}
_PREFIXES = {"ide": "hd", "sata": "sd", "scsi": "sd", "virtio": "vd"}


@dataclass(frozen=True, slots=True)
class _Disk:
    """file: "" for an empty drive. bus: libvirt's word. target: orders the disks of a bus ("sda"). place: controller,
    bus and unit of its address; None where libvirt finds one itself."""

    device: str
    format: str
    file: str
    bus: str
    target: str
    place: tuple[int, int, int] | None
    boot: bool


@dataclass(frozen=True, slots=True)
class _Interface:
    """network: of libvirt, or "" where it joins `bridge`."""

    network: str
    bridge: str
    hw_addr: str
    model: str
    connected: bool


def domain(
    machine: Machine,
    renderer: Renderer | None = None,
    *,
    files: Sequence[str] | None = None,
    folder: str = IMAGES,
) -> str:
    """The domain as XML. renderer: of the dialect XML. files: names of the disk images, qcow2 unless they end in
    ".raw", in the order of the drives; by default those that the kvm backend gives, as it does to the CD images.
    folder: where they will be.

    Raises BuildError for an architecture that no PC has, RecipeError for a value that XML cannot carry.
    """
    if machine.arch not in _ARCHITECTURES:
        raise BuildError(f"a virtual machine of {machine.arch} cannot be described; {' and '.join(_ARCHITECTURES)} can")
    names = disk_files(machine) if files is None else files
    old = any(drive.bus == "ide" for drive in machine.drives)
    interfaces = [_interface(nic) for nic in machine.nics]
    return (renderer or Renderer(None, XML)).render(
        TEMPLATE,
        machine=machine,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{_stem(machine)}")),
        osinfo=parse_system(machine.os).osinfo,
        arch=_ARCHITECTURES[machine.arch],
        chipset="pc" if old else "q35",
        memory=-(-machine.ram // 1024),
        folder=folder,
        disks=list(_disks(machine, names, old)),
        scsi=sorted({drive.index for drive in machine.drives if drive.bus == "scsi"}),
        interfaces=interfaces,
        hostonly=any(interface.network == "hostonly" for interface in interfaces),
    )


def _stem(machine: Machine) -> str:
    return f"{machine.name}-kvm-{machine.arch}"


def disk_files(machine: Machine) -> list[str]:
    """Names of the disk images that the kvm backend makes, in the order of the drives."""
    return disk_names(_stem(machine), [drive.name for drive in machine.drives], "qcow2")


def _disks(machine: Machine, files: Sequence[str], old: bool) -> Iterator[_Disk]:
    """old: the chipset has IDE, where the CD drives then are; the newer one has SATA instead."""
    used = dict.fromkeys(_PREFIXES.values(), 0)
    sata = count()

    def target(bus: str) -> str:
        prefix = _PREFIXES[bus]
        used[prefix] += 1
        return prefix + _letters(used[prefix])

    for drive, file in zip(machine.drives, files, strict=True):
        bus = "virtio" if drive.bus == "nvme" else drive.bus
        place = _place(drive, sata)
        yield _Disk("disk", "raw" if file.endswith(".raw") else "qcow2", file, bus, target(bus), place, drive.boot)
    for number, (cd, (index, unit)) in enumerate(zip(machine.cds, machine.cd_positions(), strict=True)):
        bus = "ide" if old else "sata"
        place = (0, index, unit) if old else _sata(next(sata))
        file = cd_name(_stem(machine), number) if cd.image and cd.connected else ""
        yield _Disk("cdrom", "raw", file, bus, target(bus), place, False)


def _place(drive: Drive, sata: Iterator[int]) -> tuple[int, int, int] | None:
    if drive.bus == "ide":
        return 0, drive.index, drive.unit
    if drive.bus == "scsi":
        return drive.index, 0, drive.unit
    return _sata(next(sata)) if drive.bus == "sata" else None


def _sata(number: int) -> tuple[int, int, int]:
    """One of QEMU's SATA controllers has six units; VMware's have thirty."""
    return number // 6, 0, number % 6


def _letters(number: int) -> str:
    """1: a, 26: z, 27: aa."""
    text = ""
    while number:
        number, rest = divmod(number - 1, len(ascii_lowercase))
        text = ascii_lowercase[rest] + text
    return text


def _interface(nic: Nic) -> _Interface:
    bridge = nic.bridge or (BRIDGE if nic.type == "bridged" else "")
    network = "hostonly" if nic.type == "hostonly" else "default"
    return _Interface("" if bridge else network, bridge, nic.hw_addr, MODELS[nic.adapter], nic.connected)
