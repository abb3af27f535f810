"""Which privileges an account needs for what builds do on a vSphere server, and which of them it lacks.

The names are the API's own (vSphere Security, "Defined Privileges" and "Required Privileges for Common Tasks"; vSphere
Automation API Reference, vm_template.library_items, for content libraries).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import VmgenError
from vmgen_build.guests.vsphere.inventory import Entity, Inventory
from vmgen_build.guests.vsphere.properties import id_of
from vmgen_build.guests.vsphere.session import Session

KEYS_SINCE = (6, 5)
"""The API from which on a server presses keys of a machine (VirtualMachine.PutUsbScanCodes)."""

ASKED = 100
"""Objects of a kind that are asked about at most."""


@dataclass(frozen=True, slots=True)
class Operation:
    """title: for people. where: the kind of object on which the privileges must be granted: folder (of machines, or
    above them), pool, datastore, network, or root. One object where all are granted is enough. keeps: what it is
    done for alone, where that is --keep-as: template or library, as Goal.kind has it. alone: the recipe's option that
    alone needs it, "" for none."""

    title: str
    where: str
    privileges: tuple[str, ...]
    keeps: str = ""
    alone: str = ""


def _of(group: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{group}.{name}" for name in names)


_INVENTORY, _CONFIG, _INTERACT = "VirtualMachine.Inventory", "VirtualMachine.Config", "VirtualMachine.Interact"
_STATE, _GUEST = "VirtualMachine.State", "VirtualMachine.GuestOperations"
_PROVISIONING = "VirtualMachine.Provisioning"

OPERATIONS = (
    Operation("make a machine", "folder", (*_of(_INVENTORY, "Create"), *_of(_CONFIG, "AddNewDisk"))),
    Operation(
        "clone a machine or template",
        "folder",
        (*_of(_INVENTORY, "CreateFromExisting"), *_of(_PROVISIONING, "Clone", "DeployTemplate")),
    ),
    Operation("import an OVA", "folder", _of("VApp", "Import")),
    Operation(
        "set its hardware",
        "folder",
        _of(
            _CONFIG,
            "Rename",
            "CPUCount",
            "Memory",
            "AddRemoveDevice",
            "EditDevice",
            "DiskExtend",
            "Settings",
            "AdvancedConfig",
            "Annotation",
        ),
    ),
    Operation("use its CD drives", "folder", _of(_INTERACT, "SetCDMedia", "DeviceConnection")),
    Operation("switch it on and off", "folder", _of(_INTERACT, "PowerOn", "PowerOff", "Reset", "AnswerQuestion")),
    Operation("run the steps in it by VMware Tools", "folder", _of(_GUEST, "Query", "Modify", "Execute")),
    Operation("keep snapshots", "folder", _of(_STATE, "CreateSnapshot", "RevertToSnapshot", "RemoveSnapshot")),
    Operation("save its screen", "folder", _of(_INTERACT, "CreateScreenshot")),
    Operation("export it", "folder", _of("VApp", "Export")),
    Operation("remove it", "folder", _of(_INVENTORY, "Delete")),
    Operation("run it in a resource pool", "pool", _of("Resource", "AssignVMToPool")),
    Operation(
        "put disks and files on a datastore", "datastore", _of("Datastore", "AllocateSpace", "Browse", "FileManagement")
    ),
    Operation("connect it to a network", "network", _of("Network", "Assign")),
)

SETTING_UP = (
    Operation(
        "have Setup make a machine from its medium",
        "folder",
        _of(_INTERACT, "SetFloppyMedia", "PutUsbScanCodes"),
        alone="[hardware] base = iso:FILE",
    ),
)
"""Of servers that can press keys."""

KEEPING = (
    Operation(
        "keep it as a template",
        "folder",
        (
            *_of(_INVENTORY, "CreateFromExisting"),
            *_of(_PROVISIONING, "Clone", "MarkAsTemplate"),
            *_of(_CONFIG, "Rename"),
        ),
        keeps="template",
    ),
    Operation(
        "keep it in a content library",
        "root",
        (
            *_of(_INVENTORY, "CreateFromExisting"),
            *_of(_PROVISIONING, "Clone"),
            *_of("ContentLibrary", "AddLibraryItem"),
        ),
        keeps="library",
    ),
)
"""Of a vCenter alone. A content library is none of the objects that can be asked about. It has its permissions by
global ones, which reach the root of the inventory too."""


@dataclass(frozen=True, slots=True)
class Right:
    """Whether the account may do it. known: the server has told. on: the object where nothing or the least is lacking,
    "" where there is none of the kind."""

    operation: Operation
    known: bool
    on: str = ""
    lacking: tuple[str, ...] = ()


def rights(session: Session, inventory: Inventory) -> tuple[Right, ...]:
    """Of OPERATIONS, of SETTING_UP where the server knows its privileges, and of KEEPING where it keeps anything.
    inventory: of the datacenter."""
    setting_up = SETTING_UP if session.about.api_numbers >= KEYS_SINCE else ()
    keeping = KEEPING if session.about.kind != "ESXi" else ()
    operations = (*OPERATIONS, *setting_up, *keeping)
    objects = _objects(session, inventory)
    names = sorted({name for operation in operations for name in operation.privileges})
    granted = _granted(session, [item for items in objects.values() for item in items], names)
    if granted is None:
        return tuple(Right(operation, known=False) for operation in operations)
    return tuple(_right(operation, objects[operation.where], inventory, granted) for operation in operations)


def _objects(session: Session, inventory: Inventory) -> Mapping[str, Sequence[Entity]]:
    """By Operation.where."""
    folders = [folder for folder in inventory.folders if folder.machines]
    root = session.content.rootFolder
    return {
        "root": [Entity(id_of(root), "the root folder", "", root)],
        "folder": [*inventory.datacenters, *folders][:ASKED],
        "pool": inventory.pools[:ASKED],
        "datastore": [store for store in inventory.datastores if store.usable][:ASKED],
        "network": inventory.networks[:ASKED],
    }


def _granted(session: Session, items: Sequence[Entity], names: Sequence[str]) -> Mapping[str, frozenset[str]] | None:
    """The privileges granted on each item, by id; None where the server does not tell (API 5.5 and later does)."""
    manager: Any = session.content.authorizationManager
    if manager is None or not items:
        return None
    try:
        answer: Iterable[Any] = session.read(
            "asking for the account's privileges",
            lambda: manager.HasPrivilegeOnEntities([item.ref for item in items], session.key, list(names)),
        )
    except VmgenError:
        return None
    return {
        str(each.entity._moId): frozenset(str(one.privId) for one in each.privAvailability if one.isGranted)
        for each in answer
    }


def _right(
    operation: Operation, items: Sequence[Entity], inventory: Inventory, granted: Mapping[str, frozenset[str]]
) -> Right:
    lacking = [
        (tuple(name for name in operation.privileges if name not in granted.get(item.id, ())), item) for item in items
    ]
    if not lacking:
        return Right(operation, known=True, lacking=operation.privileges)
    least, item = min(lacking, key=lambda pair: len(pair[0]))
    return Right(operation, known=True, on=inventory.path(item), lacking=least)
