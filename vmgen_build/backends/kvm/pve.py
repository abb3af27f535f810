"""The machine as Proxmox VE describes it: qm.conf(5), and the lines by which qmrestore(1) finds an archive's disks.

The devices are those of the libvirt domain (backends.kvm.domain). There is one SCSI controller, which has all SCSI
disks; NVMe disks are virtio ones. What joins no named bridge joins vmbr0, which every installation has; the cable of a
host-only adapter is out, since nothing says which bridge leads nowhere. Of a machine with EFI no variables are kept:
Proxmox VE makes temporary ones, until it is given a disk for them (efidisk0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from vmgen_build.backends.kvm.domain import MODELS
from vmgen_build.boots.up import system_of
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Drive, Machine, Nic

BRIDGE = "vmbr0"
PLACES = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
"""Bus -> disks that a machine of Proxmox VE may have on it (PVE::QemuServer::Drive)."""

_BRIDGES = re.compile(r"[-A-Za-z0-9_.]{1,15}")
_SERVERS = {(5, 2): "w2k3", (6, 0): "w2k8"}
_WINDOWS = {(5, 1): "wxp", (6, 0): "wvista", (6, 1): "win7", (6, 2): "win8", (6, 3): "win8", (10, 0): "win10"}
_NEWEST = ("11", "2022", "2025")
"""Versions of Windows that Proxmox VE calls win11."""


def places(machine: Machine) -> list[str]:
    """Of each drive, in order: "scsi0". Raises BuildError where there is none left."""
    counts = {bus: count() for bus in PLACES}
    found = [_place(drive, counts) for drive in machine.drives]
    for name in found:
        bus = name.rstrip("0123456789")
        if int(name.removeprefix(bus)) >= PLACES[bus]:
            raise BuildError(
                f"Proxmox VE has room for {PLACES[bus]} disks on {bus}, and {machine.name} has more; move some to"
                " another bus"
            )
    return found


def config(machine: Machine, sizes: list[int]) -> str:
    """The text. sizes: bytes, of each drive."""
    names = places(machine)
    values = dict(_values(machine, names, sizes))
    lines = [f"{name}: {values[name]}\n" for name in sorted(values)]
    return "".join((*lines, *(f"#qmdump#map:{name}:{device(name)}:::\n" for name in names)))


def device(place: str) -> str:
    """What an archive calls its disk."""
    return f"drive-{place}"


def _values(machine: Machine, names: list[str], sizes: list[int]) -> Iterator[tuple[str, object]]:
    yield from {
        "name": re.sub(r"[^A-Za-z0-9.-]+", "-", machine.name).strip("-.") or "machine",
        "ostype": _system(machine),
        "cores": machine.cpus,
        "cpu": "host",
        "memory": -(-machine.ram // (1 << 20)),
        "agent": 1,
        "scsihw": "virtio-scsi-pci",
        "serial0": "socket",
    }.items()
    if not any(drive.bus == "ide" for drive in machine.drives):
        yield "machine", "q35"
    if machine.firmware == "efi":
        yield "bios", "ovmf"
    boot = next(name for name, drive in zip(names, machine.drives, strict=True) if drive.boot)
    yield "boot", f"order={boot}"
    for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
        yield name, f"local:disk-{number},size={size // 1024}K"
    for index, unit in machine.cd_positions():
        yield f"ide{2 * index + unit}", "none,media=cdrom"
    for number, nic in enumerate(machine.nics):
        yield f"net{number}", _adapter(nic)


def _place(drive: Drive, counts: dict[str, count[int]]) -> str:
    if drive.bus == "ide":
        return f"ide{2 * drive.index + drive.unit}"
    bus = "virtio" if drive.bus == "nvme" else drive.bus
    return f"{bus}{next(counts[bus])}"


def _adapter(nic: Nic) -> str:
    bridge = nic.bridge if nic.bridge and _BRIDGES.fullmatch(nic.bridge) else BRIDGE
    connected = nic.connected and (nic.type != "hostonly" or nic.bridge)
    return f"{MODELS[nic.adapter]}={nic.hw_addr.upper()},bridge={bridge}{'' if connected else ',link_down=1'}"


def _system(machine: Machine) -> str:
    system = system_of(machine.os)
    if system.kind != "windows":
        return "l26"
    if system.version in _NEWEST:
        return "win11"
    known = {**_WINDOWS, **(_SERVERS if system.server else {})}
    return known.get(system.nt, "other")
