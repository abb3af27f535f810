"""What is changed of a user's machine after it was cloned, by pyvmomi's types."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from vmgen_build.errors import BuildError
from vmgen_build.guests.vsphere.hardware import disk_changes, drives_there, has_adapter
from vmgen_build.plan.machine import Drive

GB = 1 << 30
device = vim.vm.device


def drive(name: str, size: int | None) -> Drive:
    return Drive(
        name=name,
        file=f"{name}.vmdk",
        size=size,
        bus="scsi",
        controller="lsilogic",
        index=0,
        unit=0,
        table="dos",
        boot=False,
        volumes=(),
    )


def disk(controller: int, unit: int, size: int = GB) -> Any:
    return device.VirtualDisk(
        key=controller * 2 + unit, controllerKey=controller, unitNumber=unit, capacityInBytes=size
    )


def machine(*disks: Any) -> list[Any]:
    """With an IDE controller of two, and a SCSI one."""
    scsi = device.ParaVirtualSCSIController(key=1000, busNumber=0)
    return [scsi, device.VirtualIDEController(key=201, busNumber=1), *disks]


def test_disks_grow_and_are_added_after_the_last() -> None:
    there = machine(disk(1000, 6), disk(1000, 0))
    drives = [drive("a", 2 * GB), drive("b", None), drive("c", GB), drive("d", 4 * GB)]
    grown, third, fourth = disk_changes(there, drives)
    assert (grown.operation, grown.device.unitNumber, grown.device.capacityInKB) == ("edit", 0, 2 * GB >> 10)
    assert (third.operation, third.fileOperation, third.device.unitNumber) == ("add", "create", 8)
    assert (fourth.device.unitNumber, fourth.device.capacityInBytes) == (9, 4 * GB)
    assert third.device.key != fourth.device.key and third.device.backing.thinProvisioned


def test_a_disk_that_is_as_large_stays() -> None:
    assert disk_changes(machine(disk(1000, 0)), [drive("a", GB)]) == []


def test_a_controller_that_is_full() -> None:
    with pytest.raises(BuildError, match="disk 'b': the controller of the machine's last disk has no place"):
        disk_changes(machine(disk(201, 1)), [drive("a", None), drive("b", GB)])


def test_drives_come_home_from_where_their_disks_hang() -> None:
    there = machine(disk(1000, 3), disk(201, 1))
    found = drives_there(there, [drive("a", None), drive("b", None)])
    assert [(one.name, one.bus, one.index, one.unit) for one in found] == [("a", "ide", 1, 1), ("b", "scsi", 0, 3)]
    with pytest.raises(BuildError, match="has 2 disks, and the recipe 1"):
        drives_there(there, [drive("a", None)])


def test_a_controller_that_is_not_known() -> None:
    there = [device.VirtualController(key=9, busNumber=0), disk(9, 0)]
    with pytest.raises(BuildError, match="a disk hangs on a VirtualController"):
        drives_there(there, [drive("a", None)])


def test_adapters_are_seen() -> None:
    assert not has_adapter(machine())
    assert has_adapter([*machine(), device.VirtualE1000(key=4000)])
