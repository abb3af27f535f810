"""What a server is asked to make, as vim's data objects. Pure, but for the network's own names there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vmgen_build.artifacts.ovf.devices import memory_mb
from vmgen_build.errors import BuildError
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.guests.vsphere.tags import Mark
from vmgen_build.plan.machine import Machine


def clone_spec(site: ServerSite, snapshot: object, config: Any, *, linked: bool = True) -> Any:
    """A machine whose disks begin as those of the snapshot, and are written beside them (linked clone); or as copies
    of them, or of the machine's own where there is no snapshot."""
    from pyVmomi import vim

    location = vim.vm.RelocateSpec(
        diskMoveType="createNewChildDiskBacking" if linked else "moveAllDiskBackingsAndDisallowSharing",
        pool=site.pool.ref,
        datastore=site.datastore.ref,
        host=site.host.ref if site.host is not None else None,
    )
    return vim.vm.CloneSpec(location=location, snapshot=snapshot, template=False, powerOn=False, config=config)


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

    path = "config.hardware.device"
    devices = values_of(session, "looking at the machine's devices", machine, [path]).get(path, ())
    backing = _backing(session, site)
    changes = []
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualEthernetCard):
            device.backing = backing
            device.addressType, device.macAddress = "generated", None
            device.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=True, connected=False, allowGuestControl=True
            )
            edit = vim.vm.device.VirtualDeviceSpec.Operation.edit
            changes.append(vim.vm.device.VirtualDeviceSpec(operation=edit, device=device))
    return changes


def _backing(session: Session, site: ServerSite) -> Any:
    """How an adapter names the network, by its kind."""
    from pyVmomi import vim

    card, network = vim.vm.device.VirtualEthernetCard, site.network
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
