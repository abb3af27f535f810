"""The virtual hardware of an OVF descriptor: a machine's devices as Items (DSP0243, chapter 8, and CIM's class
ResourceAllocationSettingData), in the terms that VMware's own descriptors use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count

from vmgen_build.catalogue.hardware import BUSES, CD_BUS
from vmgen_build.plan.machine import CdDrive, Drive, FirstStart, Machine, Nic

NETWORKS: Mapping[str, str] = {
    "nat": "NAT",
    "bridged": "bridged",
    "hostonly": "hostonly",
    "veth": "NAT",
    "venet": "NAT",
}
"""Type of an adapter -> its network. Workstation and Fusion know these three by name; vSphere asks for each which of
its own networks it is. veth and venet, which only containers have, are NAT here."""

Fields = dict[str, str | int]

Item = list[tuple[str, str | int]]
"""Elements of rasd with their values, in the schema's order, which is the alphabet's."""

_MEMORY_STEP = 4
"""VMware takes memory in multiples of 4 MB."""

_FIRST_NIC = 7
"""Importers order the adapters by AddressOnParent; those of VMware's own descriptors begin at 7."""

_CONTROLLERS: Mapping[str, tuple[int, str, str]] = {
    "ide": (5, "", "IDE controller"),
    "lsilogic": (6, "lsilogic", "SCSI controller"),
    "pvscsi": (6, "VirtualSCSI", "SCSI controller"),
    "sata": (20, "vmware.sata.ahci", "SATA controller"),
    "nvme": (20, "vmware.nvme.controller", "NVMe controller"),
}
"""Kind -> ResourceType, ResourceSubType, and what it is called."""

_ADAPTERS: Mapping[str, str] = {
    "e1000": "E1000",
    "e1000e": "E1000e",
    "vmxnet3": "VmxNet3",
    "pcnet32": "PCNet32",
}


def items(machine: Machine, first: FirstStart | None = None) -> list[Item]:
    """CPUs, memory, controllers, disks, CD drives, floppy drive, network adapters. A drive with an image refers to the
    file behind the disks' files; disks have none where `first` is given. Raises BuildError where the IDE controllers
    have no place for a CD drive."""
    numbers = count(1)

    def item(fields: Fields) -> Item:
        return sorted((fields | {"InstanceID": next(numbers)}).items())

    cds = machine.cd_positions()
    found = [item(_cpus(machine)), item(_memory(machine))]
    parents: dict[tuple[str, int], int] = {}
    for bus, index, kind in controllers(machine):
        found.append(item(_controller(index, kind)))
        parents[bus, index] = int(dict(found[-1])["InstanceID"])
    for number, drive in enumerate(machine.drives, 1):
        found.append(item(_disk(drive, number) | {"Parent": parents[drive.bus, drive.index]}))
    files = count(len(machine.drives) + 1 if first is None else 1)
    for cd, (index, unit) in zip(machine.cds, cds, strict=True):
        place: Fields = {"Parent": parents[CD_BUS, index], "AddressOnParent": unit}
        found.append(item(_cd(cd, lambda: next(files)) | place))
    if first is not None and first.floppy:
        found.append(item(_floppy(next(files))))
    found += [item(_nic(nic, index)) for index, nic in enumerate(machine.nics)]
    return found


def networks(machine: Machine) -> list[str]:
    """Those that its adapters are on, each once."""
    return list(dict.fromkeys(NETWORKS[nic.type] for nic in machine.nics))


def controllers(machine: Machine) -> Iterator[tuple[str, int, str]]:
    """Of each controller: bus, index, and kind: the bus, or "lsilogic" or "pvscsi" for scsi. In the order of BUSES. The
    first disk of a SCSI controller says which kind it is. Raises BuildError as Machine.cd_positions."""
    wanted: dict[tuple[str, int], str] = {}
    for drive in machine.drives:
        wanted.setdefault((drive.bus, drive.index), drive.kind)
    for index, _ in machine.cd_positions():
        wanted.setdefault((CD_BUS, index), CD_BUS)
    order = list(BUSES)
    for bus, index in sorted(wanted, key=lambda place: (order.index(place[0]), place[1])):
        yield bus, index, wanted[bus, index]


def _controller(index: int, kind: str) -> Fields:
    number, subtype, words = _CONTROLLERS[kind]
    fields: Fields = {"Address": index, "ElementName": f"{words} {index}", "ResourceType": number}
    return fields | {"ResourceSubType": subtype} if subtype else fields


def _cpus(machine: Machine) -> Fields:
    return {
        "AllocationUnits": "hertz * 10^6",
        "Description": "Number of virtual CPUs",
        "ElementName": f"{machine.cpus} virtual CPU(s)",
        "ResourceType": 3,
        "VirtualQuantity": machine.cpus,
    }


def memory_mb(machine: Machine) -> int:
    """The machine's memory, as VMware's products take it."""
    return -(-machine.ram // (_MEMORY_STEP << 20)) * _MEMORY_STEP


def _memory(machine: Machine) -> Fields:
    size = memory_mb(machine)
    return {
        "AllocationUnits": "byte * 2^20",
        "Description": "Memory size",
        "ElementName": f"{size} MB of memory",
        "ResourceType": 4,
        "VirtualQuantity": size,
    }


def _disk(drive: Drive, number: int) -> Fields:
    return {
        "AddressOnParent": drive.unit,
        "ElementName": f"Hard disk {drive.name}",
        "HostResource": f"ovf:/disk/vmdisk{number}",
        "ResourceType": 17,
    }


def _cd(cd: CdDrive, next_file: Callable[[], int]) -> Fields:
    """An empty drive is the client's own, which nothing has to be there for on any host."""
    drive: Fields = {"ElementName": f"CD drive {cd.name}", "ResourceType": 15}
    if cd.image is None:
        return drive | {"AutomaticAllocation": "false", "ResourceSubType": "vmware.cdrom.remotepassthrough"}
    return drive | {
        "AutomaticAllocation": _truth(cd.connected),
        "HostResource": f"ovf:/file/file{next_file()}",
        "ResourceSubType": "vmware.cdrom.iso",
    }


def _floppy(file: int) -> Fields:
    return {
        "AddressOnParent": 0,
        "AutomaticAllocation": "true",
        "ElementName": "Floppy drive",
        "HostResource": f"ovf:/file/file{file}",
        "ResourceSubType": "vmware.floppy.image",
        "ResourceType": 14,
    }


def _nic(nic: Nic, index: int) -> Fields:
    adapter, network = _ADAPTERS[nic.adapter], NETWORKS[nic.type]
    return {
        "Address": nic.hw_addr,
        "AddressOnParent": _FIRST_NIC + index,
        "AutomaticAllocation": _truth(nic.connected),
        "Connection": network,
        "Description": f"{adapter} Ethernet adapter on {network}",
        "ElementName": f"Network adapter {nic.name}",
        "ResourceSubType": adapter,
        "ResourceType": 10,
    }


def _truth(value: bool) -> str:
    return "true" if value else "false"
