"""A machine as VirtualBox keeps it, for the element vbox:Machine of its OVF descriptor.

VirtualBox imports a machine that has one after it, and takes of the OVF's own Items only which disk is which file: its
firmware, its CD drives and all of its adapters come over by this alone (its source, ApplianceImplImport.cpp and
Settings.cpp). The words are those of its settings of version 1.16, which VirtualBox 5.1 and all later ones read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.artifacts.ovf.devices import NETWORKS, controllers, memory_mb
from vmgen_build.catalogue.hardware import CD_BUS
from vmgen_build.plan.machine import Drive, Machine, Nic
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

_PIIX3_SLOTS = 8
"""Adapters of a machine with VirtualBox's usual chipset; ICH9 takes 36."""

_ADAPTERS: Mapping[str, str] = {
    "e1000": "82545EM",
    "e1000e": "82540EM",
    "vmxnet3": "82540EM",
    "pcnet32": "Am79C973",
}
"""The first is VMware's E1000, which VirtualBox has too; its usual one stands for what it has not."""

_ATTACHMENTS: Mapping[str, str] = {
    "NAT": "NAT",
    "bridged": "BridgedInterface",
    "hostonly": "HostOnlyInterface",
}
"""The OVF's network -> element. VirtualBox asks for the host's interface at the first start."""


_KINDS: Mapping[str, tuple[str, int]] = {
    "ide": ("PIIX4", 2),
    "scsi": ("LsiLogic", 16),
    "sata": ("AHCI", 0),
    "nvme": ("NVMe", 0),
}
"""Bus -> type, and ports; 0: as many as are taken. VirtualBox has no PVSCSI."""

_NAMES: Mapping[str, str] = {"ide": "IDE", "scsi": "SCSI", "sata": "SATA", "nvme": "NVMe"}

_SYSTEMS: Mapping[str, str] = {
    **{name: name.capitalize() for name in ("debian", "ubuntu", "fedora")},
    **dict.fromkeys(("rhel", "centos", "rocky", "almalinux", "scientific"), "RedHat"),
    "opensuse": "OpenSUSE",
    "arch": "ArchLinux",
}
_WINDOWS: Mapping[str, str] = {
    "xp": "WindowsXP",
    "2003": "Windows2003",
    "vista": "WindowsVista",
    "2008": "Windows2008",
    "2008r2": "Windows2008",
    "7": "Windows7",
    "8": "Windows8",
    "8.1": "Windows81",
    "10": "Windows10",
    "11": "Windows11",
    "2012": "Windows2012",
    "2012r2": "Windows2012",
    "2016": "Windows2016",
    "2019": "Windows2019",
    "2022": "Windows2022",
    "2025": "Windows2022",
}
"""Version -> OSType, as `VBoxManage list ostypes` has them; one that VirtualBox 6.1 does not know is none here."""


@dataclass(frozen=True, slots=True)
class _Storage:
    """A controller. cached: by the host."""

    name: str
    type: str
    ports: int
    cached: str
    devices: tuple[_Attached, ...]


@dataclass(frozen=True, slots=True)
class _Attached:
    """type: "HardDisk" or "DVD". place: on the port; 1 only for an IDE slave. uuid: of the disk, "" for a CD drive."""

    type: str
    port: int
    place: int
    uuid: Trusted


@dataclass(frozen=True, slots=True)
class _Adapter:
    """mac: twelve hexadecimal digits. network: the name of an element."""

    slot: int
    mac: str
    cable: str
    type: str
    network: Trusted


@dataclass(frozen=True, slots=True)
class Box:
    """What the template takes beside the machine. system: as VirtualBox calls it. memory, video_memory: MB. clock:
    "UTC" or "local"."""

    uuid: Trusted
    system: str
    wide: str
    memory: int
    chipset: str
    graphics: str
    video_memory: int
    clock: str
    adapters: tuple[_Adapter, ...]
    controllers: tuple[_Storage, ...]


def box_of(machine: Machine, uuid: Trusted, disks: Sequence[Trusted]) -> Box:
    """uuid: of the machine; disks: those of its drives, in their order. Raises BuildError as Machine.cd_positions."""
    system = parse_system(f"{machine.os}-{machine.arch}")
    windows = system.kind == "windows"
    return Box(
        uuid=uuid,
        system=_os_type(system),
        wide=_truth(machine.arch == "amd64"),
        memory=memory_mb(machine),
        chipset="PIIX3" if len(machine.nics) <= _PIIX3_SLOTS else "ICH9",
        graphics="VBoxSVGA" if windows else "VMSVGA",
        video_memory=128 if windows else 16,
        clock="local" if windows else "UTC",
        adapters=tuple(_adapter(slot, nic) for slot, nic in enumerate(machine.nics)),
        controllers=tuple(_storages(machine, disks)),
    )


def _os_type(system: System) -> str:
    """The OVF's own number of it says no more than "Windows 7 (32-bit)", or "Other"."""
    names, key = (_WINDOWS, system.version) if system.kind == "windows" else (_SYSTEMS, system.distribution)
    usual = "WindowsNT" if system.kind == "windows" else "Linux26"
    return names.get(key, usual) + "_64" * (system.arch == "amd64")


def _adapter(slot: int, nic: Nic) -> _Adapter:
    return _Adapter(
        slot=slot,
        mac=nic.hw_addr.replace(":", "").upper(),
        cable=_truth(nic.connected),
        type=_ADAPTERS[nic.adapter],
        network=Trusted(_ATTACHMENTS[NETWORKS[nic.type]]),
    )


def _storages(machine: Machine, disks: Sequence[Trusted]) -> Iterator[_Storage]:
    """The IDE controllers of others are the two ports of VirtualBox's."""
    found: dict[tuple[str, int], list[_Attached]] = {}
    for bus, index, _ in controllers(machine):
        found.setdefault(_controller(bus, index), [])
    for drive, uuid in zip(machine.drives, disks, strict=True):
        found[_controller(drive.bus, drive.index)].append(_disk(drive, uuid))
    for index, unit in machine.cd_positions():
        found[_controller(CD_BUS, index)].append(_Attached("DVD", index, unit, Trusted("")))
    for (bus, index), devices in found.items():
        words, ports = _KINDS[bus]
        name = f"{_NAMES[bus]} {index}" if index else _NAMES[bus]
        last = max((device.port for device in devices), default=0)
        yield _Storage(name, words, ports or last + 1, _truth(bus == CD_BUS), tuple(devices))


def _controller(bus: str, index: int) -> tuple[str, int]:
    return (bus, 0) if bus == CD_BUS else (bus, index)


def _disk(drive: Drive, uuid: Trusted) -> _Attached:
    if drive.bus == CD_BUS:
        return _Attached("HardDisk", drive.index, drive.unit, uuid)
    return _Attached("HardDisk", drive.unit, 0, uuid)


def _truth(value: bool) -> str:
    return "true" if value else "false"
