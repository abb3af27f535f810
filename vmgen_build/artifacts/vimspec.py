"""A machine as the vSphere API describes one that is to be made: a VirtualMachineConfigSpec, in JSON.

Types and properties are those of the vSphere Web Services API Reference. The form is that of its Virtual Infrastructure
JSON API (vCenter 8.0.1 and later): an object names its type in `_typeName`, first. What the server alone knows stands
there as DATASTORE, and as the networks of artifacts.ovf.devices.NETWORKS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TypeAlias

from vmgen_build.artifacts.ovf.devices import NETWORKS, controllers, memory_mb
from vmgen_build.artifacts.ovf.guest import annotation_of, guest_of
from vmgen_build.catalogue.hardware import CD_BUS
from vmgen_build.plan.machine import BOOT_ORDER, CdDrive, Drive, FirstStart, Machine, Nic
from vmgen_build.recipe.partitioning import whole_mib

Object: TypeAlias = dict[str, object]

DATASTORE = "[datastore]"
"""Stands before each path, for a name as [LocalDS_0]. The files lie in a folder with the machine's name."""

_SCSI: Mapping[str, object] = {"sharedBus": "noSharing"}
_CONTROLLERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "ide": ("VirtualIDEController", {}),
    "lsilogic": ("VirtualLsiLogicController", _SCSI),
    "pvscsi": ("ParaVirtualSCSIController", _SCSI),
    "sata": ("VirtualAHCIController", {}),
    "nvme": ("VirtualNVMEController", {}),
}
"""Kind -> type, and what it has beside its number."""

ADAPTERS: Mapping[str, str] = {
    "e1000": "VirtualE1000",
    "e1000e": "VirtualE1000e",
    "vmxnet3": "VirtualVmxnet3",
    "pcnet32": "VirtualPCNet32",
}
"""Types of network adapters, by the recipe's names."""


SIO_CONTROLLER = 400
"""The key of the controller of a floppy drive, which every machine has by itself."""


def config_spec(machine: Machine, first: FirstStart | None = None) -> Object:
    """What CreateVM_Task takes. A disk refers to a file that is there. first: where the disks are empty. Raises
    BuildError as Machine.cd_positions."""
    return _object(
        "VirtualMachineConfigSpec",
        name=machine.name,
        version=f"vmx-{machine.hw_version:02d}",
        guestId=guest_of(machine).os_type,
        annotation=annotation_of(machine),
        files=_object("VirtualMachineFileInfo", vmPathName=_path(machine, f"{machine.name}.vmx")),
        numCPUs=machine.cpus,
        memoryMB=memory_mb(machine),
        firmware=machine.firmware,
        bootOptions=_object("VirtualMachineBootOptions", efiSecureBootEnabled=False),
        deviceChange=[
            _object("VirtualDeviceConfigSpec", operation="add", device=device) for device in _devices(machine, first)
        ],
        **_boot_order(machine, first),
    )


def config_spec_json(machine: Machine, first: FirstStart | None = None) -> str:
    """The same as text."""
    return json.dumps(config_spec(machine, first), indent=2, ensure_ascii=False) + "\n"


def _boot_order(machine: Machine, first: FirstStart | None) -> Object:
    if first is None or machine.firmware != "bios":
        return {}
    key, value = BOOT_ORDER
    return {"extraConfig": [_object("OptionValue", key=key, value={"_typeName": "string", "_value": value})]}


def _object(kind: str, **properties: object) -> Object:
    return {"_typeName": kind, **properties}


def _devices(machine: Machine, first: FirstStart | None) -> Iterator[Object]:
    """Keys of devices that are not there yet are negative: the server gives them others."""
    keys = count(-1, -1)
    parents: dict[tuple[str, int], int] = {}
    for bus, index, kind in controllers(machine):
        parents[bus, index] = next(keys)
        name, more = _CONTROLLERS[kind]
        yield _object(name, key=parents[bus, index], busNumber=index, **more)
    for drive in machine.drives:
        hangs = {"controllerKey": parents[drive.bus, drive.index], "unitNumber": drive.unit}
        yield _object("VirtualDisk", key=next(keys), **hangs, **_disk(machine, drive))
    for cd, (index, unit) in zip(machine.cds, machine.cd_positions(), strict=True):
        hangs = {"controllerKey": parents[CD_BUS, index], "unitNumber": unit}
        yield _object("VirtualCdrom", key=next(keys), **hangs, **_cd(machine, cd))
    if first is not None and first.floppy:
        image = _object("VirtualFloppyImageBackingInfo", fileName=_path(machine, first.floppy))
        hangs = {"controllerKey": SIO_CONTROLLER, "unitNumber": 0}
        yield _object("VirtualFloppy", key=next(keys), **hangs, backing=image, connectable=_connectable(True))
    for nic in machine.nics:
        yield _object(ADAPTERS[nic.adapter], key=next(keys), **_nic(nic))


def _disk(machine: Machine, drive: Drive) -> Object:
    """A capacity of 0 is that of the file: the recipe leaves it open."""
    backing = _object("VirtualDiskFlatVer2BackingInfo", fileName=_path(machine, drive.file), diskMode="persistent")
    size = whole_mib(drive.size) if drive.size is not None else 0
    known: Object = {"capacityInBytes": size} if size else {}
    return {"backing": backing, "capacityInKB": size // 1024, **known}


def _cd(machine: Machine, cd: CdDrive) -> Object:
    if not cd.file:
        empty = _object("VirtualCdromRemotePassthroughBackingInfo", deviceName="", exclusive=False)
        return {"backing": empty, "connectable": _connectable(False)}
    image = _object("VirtualCdromIsoBackingInfo", fileName=_path(machine, cd.file))
    return {"backing": image, "connectable": _connectable(cd.connected)}


def _nic(nic: Nic) -> Object:
    return {
        "backing": _object("VirtualEthernetCardNetworkBackingInfo", deviceName=NETWORKS[nic.type]),
        "connectable": _connectable(nic.connected),
        "addressType": "manual",
        "macAddress": nic.hw_addr,
    }


def _connectable(connected: bool) -> Object:
    return _object("VirtualDeviceConnectInfo", startConnected=connected, allowGuestControl=True, connected=connected)


def _path(machine: Machine, file: str) -> str:
    return f"{DATASTORE} {machine.name}/{file}"
