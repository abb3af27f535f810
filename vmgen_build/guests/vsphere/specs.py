"""What a server is asked to make, as vim's data objects. Pure, but for the network's own names there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vmgen_build.artifacts.ovf.devices import memory_mb
from vmgen_build.artifacts.vimspec import ADAPTERS
from vmgen_build.errors import BuildError
from vmgen_build.guests.vsphere.discs import emptied
from vmgen_build.guests.vsphere.inventory import Network
from vmgen_build.guests.vsphere.policies import locators_of, profiles_of
from vmgen_build.guests.vsphere.properties import devices_of, values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.guests.vsphere.tags import Mark
from vmgen_build.plan.machine import Machine, Nic

LINKED = "createNewChildDiskBacking"
"""Disks begin as those of a snapshot, and are written beside them (VirtualMachineRelocateDiskMoveOptions)."""

COPIED = "moveAllDiskBackingsAndConsolidate"
"""Disks are copies, which stand on nothing."""


def clone_spec(session: Session, site: ServerSite, source: object, snapshot: object, *, copied: bool = False) -> Any:
    """vim.vm.CloneSpec of a machine that is off. snapshot: of the source's, that its disks begin with; None for the
    state that it is in, of which there are copies alone. copied: its disks stand on nothing."""
    from pyVmomi import vim

    move, store = COPIED if copied or snapshot is None else LINKED, site.datastore.ref
    disks = _disks_of(session, source) if site.policy is not None else []
    location = vim.vm.RelocateSpec(
        diskMoveType=move,
        pool=site.pool.ref,
        datastore=store,
        host=site.host.ref if site.host is not None else None,
        profile=profiles_of(site.policy),
        disk=locators_of(site.policy, disks, store, move) if site.policy is not None else [],
    )
    return vim.vm.CloneSpec(location=location, snapshot=snapshot, template=False, powerOn=False)


def _disks_of(session: Session, machine: object) -> list[int]:
    """Their keys."""
    from pyVmomi import vim

    return [device.key for device in devices_of(session, machine) if isinstance(device, vim.vm.device.VirtualDisk)]


def marked(mark: Mark) -> Any:
    """vim.vm.ConfigSpec that changes the annotation alone."""
    from pyVmomi import vim

    return vim.vm.ConfigSpec(annotation=mark.to_text())


def changed(devices: Sequence[Any]) -> Any:
    """vim.vm.ConfigSpec that changes devices alone. devices: vim.vm.device.VirtualDeviceSpec of each."""
    from pyVmomi import vim

    return vim.vm.ConfigSpec(deviceChange=list(devices))


def build_config(machine: Machine, mark: Mark, own: Mapping[str, str], adapters: Sequence[Any]) -> Any:
    """vim.vm.ConfigSpec of a build's machine. own: its extraConfig. adapters: changes of its network adapters."""
    from pyVmomi import vim

    return vim.vm.ConfigSpec(
        annotation=mark.to_text(),
        numCPUs=machine.cpus,
        memoryMB=memory_mb(machine),
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in own.items()],
        deviceChange=list(adapters),
    )


def adapters_on(session: Session, machine: object, site: ServerSite) -> list[Any]:
    """Changes that put the machine's adapters on the site's network, with addresses of their own."""
    from pyVmomi import vim

    backing = _backing(session, site.network)
    changes = []
    for device in devices_of(session, machine):
        if isinstance(device, vim.vm.device.VirtualEthernetCard):
            device.backing = backing
            device.addressType, device.macAddress = "generated", None
            device.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=True, connected=False, allowGuestControl=True
            )
            edit = vim.vm.device.VirtualDeviceSpec.Operation.edit
            changes.append(vim.vm.device.VirtualDeviceSpec(operation=edit, device=device))
    return changes


def own_adapters(session: Session, machine: object, nics: Sequence[Nic], networks: Sequence[Network]) -> list[Any]:
    """Changes that give the machine these adapters in this order, with the addresses of their own, each on its network.
    One of the same kind stays, so that the system in the machine takes it for the one that it knows."""
    from pyVmomi import vim

    device, change = vim.vm.device, vim.vm.device.VirtualDeviceSpec
    cards = [one for one in devices_of(session, machine) if isinstance(one, device.VirtualEthernetCard)]
    changes = []
    for number, (nic, network) in enumerate(zip(nics, networks, strict=True)):
        kind = getattr(device, ADAPTERS[nic.adapter])
        same = next((card for card in cards if type(card) is kind), None)
        if same is not None:
            cards.remove(same)
        card = same if same is not None else kind(key=-200 - number)
        card.backing = _backing(session, network)
        card.addressType, card.macAddress = "manual", nic.hw_addr
        card.connectable = device.VirtualDevice.ConnectInfo(
            startConnected=nic.connected, connected=False, allowGuestControl=True
        )
        changes.append(change(operation="add" if same is None else "edit", device=card))
    return [*(change(operation="remove", device=card) for card in cards), *changes]


def kept_config(session: Session, made: object, machine: Machine, networks: Sequence[Network]) -> Any:
    """vim.vm.ConfigSpec of hardware for one that was made as a copy of the build's machine: processors, memory, empty
    CD drives, and adapters on these networks in place of those that it has. Their addresses are for the server to
    choose: others will be made of it."""
    from pyVmomi import vim

    device, operation = vim.vm.device, vim.vm.device.VirtualDeviceSpec.Operation
    there = devices_of(session, made)
    cards = [one for one in there if isinstance(one, device.VirtualEthernetCard)]
    changes = [device.VirtualDeviceSpec(operation=operation.remove, device=card) for card in cards]
    for number, (nic, network) in enumerate(zip(machine.nics, networks, strict=True), 1):
        card = getattr(device, ADAPTERS[nic.adapter])(
            key=-number,
            backing=_backing(session, network),
            addressType="generated",
            connectable=device.VirtualDevice.ConnectInfo(
                startConnected=nic.connected, connected=False, allowGuestControl=True
            ),
        )
        changes.append(device.VirtualDeviceSpec(operation=operation.add, device=card))
    changes += emptied(there)
    return vim.vm.ConfigSpec(numCPUs=machine.cpus, memoryMB=memory_mb(machine), deviceChange=changes)


def _backing(session: Session, network: Network) -> Any:
    """How an adapter names the network, by its kind."""
    from pyVmomi import vim

    card = vim.vm.device.VirtualEthernetCard
    what = f"looking at the network '{network.name}'"
    if network.kind == "DistributedVirtualPortgroup":
        found = values_of(session, what, network.ref, ["key", "config.distributedVirtualSwitch"])
        switch = values_of(session, what, found["config.distributedVirtualSwitch"], ["uuid"])
        connection = vim.dvs.PortConnection(portgroupKey=found["key"], switchUuid=switch["uuid"])
        return card.DistributedVirtualPortBackingInfo(port=connection)
    if network.kind == "OpaqueNetwork":
        summary = values_of(session, what, network.ref, ["summary"])["summary"]
        return card.OpaqueNetworkBackingInfo(
            opaqueNetworkId=summary.opaqueNetworkId, opaqueNetworkType=summary.opaqueNetworkType
        )
    if network.kind != "Network":
        raise BuildError(f"the network '{network.name}' is a {network.kind}, which no machine can be connected to")
    return card.NetworkBackingInfo(deviceName=network.name, network=network.ref)
