"""A machine or template of a server, or one of its snapshots, as what a build begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vmgen_build.guests.vsphere.inventory import SHOWN, Inventory, Machine, Snapshot
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.recipe.types.bases import BaseSource


@dataclass(frozen=True, slots=True)
class Source:
    """machine: vim.VirtualMachine. snapshot: vim.vm.Snapshot, None for the state that the machine is in. state: what
    tells its content of it from a later one. firmware: bios or efi. sizes: of its disks, in bytes, in their order.
    has_tools: False where the server says that it has none."""

    machine: Any = field(repr=False)
    snapshot: Any = field(repr=False)
    state: str
    firmware: str
    sizes: tuple[int, ...]
    has_tools: bool


def find_source(session: Session, whole: Inventory, there: Inventory, base: BaseSource) -> Source:
    """whole: the inventory, for paths; there: of the datacenter. Raises ValueError that says what is wrong with the
    base, HostError, BuildError."""
    machine = whole.named(base.machine, there.machines, f"machine '{base.machine}'", "the server")
    snapshot = _snapshot(machine, base.snapshot) if base.snapshot else None
    if snapshot is None and machine.power not in ("poweredOff", ""):
        raise ValueError(
            f"'{machine.name}' is {_POWER.get(machine.power, machine.power)}; switch it off, or name one of its"
            f" snapshots: vm:{base.machine}@SNAPSHOT"
        )
    known = values_of(session, f"looking at '{machine.name}'", machine.ref, _OF_MACHINE)
    config = known
    if snapshot is not None:
        found = values_of(session, f"looking at the snapshot '{snapshot.name}'", snapshot.ref, ["config"])["config"]
        config = {"config.firmware": found.firmware, "config.hardware.device": found.hardware.device}
    state = [known.get(path, "") for path in ("config.instanceUuid", "config.changeVersion")]
    return Source(
        machine.ref,
        snapshot.ref if snapshot is not None else None,
        " ".join(map(str, [state[0], snapshot.id] if snapshot is not None else state)),
        str(config.get("config.firmware") or "bios"),
        tuple(size_of(disk) for disk in disks_of(config.get("config.hardware.device", ()))),
        machine.tools_state != "guestToolsNotInstalled",
    )


_POWER = {"poweredOn": "switched on", "suspended": "suspended"}
_OF_MACHINE = ("config.instanceUuid", "config.changeVersion", "config.firmware", "config.hardware.device")


def disks_of(devices: Sequence[Any]) -> list[Any]:
    """The vim.vm.device.VirtualDisk among the devices: by kind and number of their controllers, and their places on
    these."""
    from pyVmomi import vim

    controllers = {device.key: device for device in devices if isinstance(device, vim.vm.device.VirtualController)}
    disks = [device for device in devices if isinstance(device, vim.vm.device.VirtualDisk)]

    def place(disk: Any) -> tuple[int, int]:
        return int(disk.controllerKey), int(disk.unitNumber or 0)

    return sorted((disk for disk in disks if disk.controllerKey in controllers), key=place)


def size_of(disk: Any) -> int:
    """Of a vim.vm.device.VirtualDisk, in bytes."""
    return int(disk.capacityInBytes or 0) or int(disk.capacityInKB or 0) << 10


def _snapshot(machine: Machine, name: str) -> Snapshot:
    fit = [one for one in machine.snapshots if name in (one.name, one.id)]
    if len(fit) == 1:
        return fit[0]
    if fit:
        ids = ", ".join(one.id for one in fit[:SHOWN])
        raise ValueError(f"'{machine.name}' has several snapshots '{name}'; write the id of one: {ids}")
    names = ", ".join(one.name for one in machine.snapshots[:SHOWN]) or "none"
    raise ValueError(f"'{machine.name}' has no snapshot '{name}'; it has {names}")
