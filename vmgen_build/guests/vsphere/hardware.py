"""What is changed of a user's machine that was cloned: its disks as the recipe has them, and an adapter to build by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vmgen_build.errors import BuildError
from vmgen_build.guests.vsphere.source import disks_of, size_of
from vmgen_build.plan.machine import Drive

RESERVED = 7
"""The unit of a SCSI controller that is its own."""

_BUSES: tuple[tuple[str, str, int], ...] = (
    ("VirtualIDEController", "ide", 2),
    ("VirtualSATAController", "sata", 30),
    ("VirtualNVMEController", "nvme", 15),
    ("VirtualSCSIController", "scsi", 16),
)
"""Types of controllers, the recipe's words for their buses, and how many units they have."""


def disk_changes(devices: Sequence[Any], drives: Sequence[Drive]) -> list[Any]:
    """vim.vm.device.VirtualDeviceSpec of each change: the machine's disks are the first drives, and grow; the other
    drives are added, empty, after the last of them. Raises BuildError."""
    from pyVmomi import vim

    disks = disks_of(devices)
    operation = vim.vm.device.VirtualDeviceSpec.Operation
    changes = []
    for disk, drive in zip(disks, drives, strict=False):
        if drive.size is not None and drive.size > size_of(disk):
            disk.capacityInBytes, disk.capacityInKB = drive.size, drive.size >> 10
            changes.append(vim.vm.device.VirtualDeviceSpec(operation=operation.edit, device=disk))
    if len(disks) >= len(drives):
        return changes
    free = _free_units(devices, disks[-1])
    for number, drive in enumerate(drives[len(disks) :], start=1):
        unit = next(free, None)
        if unit is None:
            raise BuildError(f"disk '{drive.name}': the controller of the machine's last disk has no place for it")
        changes.append(_new_disk(drive, disks[-1].controllerKey, unit, -number))
    return changes


def drives_there(devices: Sequence[Any], drives: Sequence[Drive]) -> tuple[Drive, ...]:
    """The drives, at the places that their disks have in the machine. Raises BuildError."""
    controllers = {device.key: device for device in devices}
    disks = disks_of(devices)
    if len(disks) != len(drives):
        raise BuildError(
            f"the machine has {len(disks)} disks, and the recipe {len(drives)}: it was changed; build again"
        )
    places = (_place(controllers[disk.controllerKey], disk) for disk in disks)
    pairs = zip(drives, places, strict=True)
    return tuple(replace(drive, bus=bus, index=index, unit=unit) for drive, (bus, index, unit) in pairs)


def has_adapter(devices: Sequence[Any]) -> bool:
    from pyVmomi import vim

    return any(isinstance(device, vim.vm.device.VirtualEthernetCard) for device in devices)


def new_adapter() -> Any:
    """vim.vm.device.VirtualDeviceSpec of one that is on no network yet."""
    from pyVmomi import vim

    card = vim.vm.device.VirtualVmxnet3(key=-100)
    return vim.vm.device.VirtualDeviceSpec(operation=vim.vm.device.VirtualDeviceSpec.Operation.add, device=card)


def _new_disk(drive: Drive, controller: int, unit: int, key: int) -> Any:
    from pyVmomi import vim

    assert drive.size is not None
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", thinProvisioned=True, fileName="")
    disk = vim.vm.device.VirtualDisk(
        key=key,
        controllerKey=controller,
        unitNumber=unit,
        backing=backing,
        capacityInBytes=drive.size,
        capacityInKB=drive.size >> 10,
    )
    spec = vim.vm.device.VirtualDeviceSpec
    return spec(operation=spec.Operation.add, fileOperation=spec.FileOperation.create, device=disk)


def _free_units(devices: Sequence[Any], last: Any) -> Iterator[int]:
    """Those after the last disk, on its controller: so the order of the disks stays."""
    [controller] = [device for device in devices if device.key == last.controllerKey]
    bus, units = _bus_of(controller)
    taken = {int(device.unitNumber or 0) for device in devices if device.controllerKey == controller.key}
    for unit in range(int(last.unitNumber or 0) + 1, units):
        if unit not in taken and not (bus == "scsi" and unit == RESERVED):
            yield unit


def _place(controller: Any, disk: Any) -> tuple[str, int, int]:
    return _bus_of(controller)[0], int(controller.busNumber), int(disk.unitNumber or 0)


def _bus_of(controller: Any) -> tuple[str, int]:
    """Its bus, and how many units it has. Raises BuildError."""
    from pyVmomi import vim

    for kind, bus, units in _BUSES:
        if isinstance(controller, getattr(vim.vm.device, kind)):
            return bus, units
    name = type(controller).__name__.rpartition(".")[2]
    raise BuildError(f"a disk hangs on a {name}, which builds do not know")
