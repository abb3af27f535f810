"""The VMX file of a machine: what Workstation, Fusion and vmrun open.

VMware has no specification of it. The keys are those that its own products write. The form of a line is that of
open-vm-tools, lib/dict/dictll.c: `name = "value"`, where | and two hex digits stand for a character that no value can
hold as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vmgen_build.artifacts.ovf.devices import controllers, memory_mb
from vmgen_build.artifacts.ovf.guest import annotation_of, guest_of
from vmgen_build.catalogue.hardware import CD_BUS
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import BOOT_ORDER, FirstStart, Machine, Nic

Line = tuple[str, str]

CONNECTIONS: Mapping[str, str] = {
    "nat": "nat",
    "bridged": "bridged",
    "hostonly": "hostonly",
    "veth": "nat",
    "venet": "nat",
}
"""Type of an adapter -> ethernetN.connectionType. As artifacts.ovf.devices.NETWORKS."""

SCSI = ("lsilogic", "pvscsi")

_DEVICE_TYPES: Mapping[str, str] = {"ide": "ata-hardDisk", "scsi": "scsi-hardDisk"}
"""Bus -> what a hard disk on it is called, where other devices hang on such a bus too."""

_CARDS: Mapping[str, str] = {"pcnet32": "vlance"}
"""Adapter -> ethernetN.virtualDev, where it is called otherwise."""

_ESCAPED = re.compile('[\x00-\x08\x0a-\x1f"|\x7f]')
STATIC_MACS = re.compile("00:50:56:[0-3][0-9a-f]:", re.IGNORECASE)
"""The MAC addresses that VMware gives away for machines whose address is set by hand."""

_BRIDGES_SINCE = 7
"""The hardware version from which on there are PCI Express slots. pvscsi, vmxnet3, e1000e and NVMe need them, and a
file that names none has none."""

_BRIDGES: tuple[Line, ...] = (
    ("pciBridge0.present", "TRUE"),
    *(
        key
        for number in range(4, 8)
        for key in (
            (f"pciBridge{number}.present", "TRUE"),
            (f"pciBridge{number}.virtualDev", "pcieRootPort"),
            (f"pciBridge{number}.functions", "8"),
        )
    ),
)


def vmx(machine: Machine, first: FirstStart | None = None) -> str:
    """The file. The disks' files are named as in the OVA, CD images and the floppy by their own names: all lie beside
    it. first: where its disks are empty.

    Raises BuildError as Machine.cd_positions, and for a value that is no UTF-8 text.
    """
    try:
        return "".join(line(name, value) for name, value in _lines(machine, first))
    except UnicodeEncodeError as error:
        raise BuildError(f"a name of {machine.name} is no UTF-8 text; write the recipe in UTF-8") from error


def line(name: str, value: str) -> str:
    """A line with its end. Raises UnicodeEncodeError."""
    value.encode()
    return f'{name} = "{_ESCAPED.sub(_escaped, value)}"\n'


def _escaped(match: re.Match[str]) -> str:
    return f"|{ord(match[0]):02X}"


def guest_os(identifier: str) -> str:
    """VMX's name of a system that the vSphere API calls so: "debian12_64Guest" -> "debian12-64"."""
    return re.sub("_?64$", "-64", identifier.removesuffix("Guest")).lower()


def _lines(machine: Machine, first: FirstStart | None) -> Iterator[Line]:
    yield from _head(machine, first)
    yield from _BRIDGES if machine.hw_version >= _BRIDGES_SINCE else ()
    for bus, index, kind in controllers(machine):
        if bus != CD_BUS:
            yield f"{bus}{index}.present", "TRUE"
        if kind in SCSI:
            yield f"{bus}{index}.virtualDev", kind
    yield from _drives(machine)
    yield from _cds(machine)
    for number, nic in enumerate(machine.nics):
        yield from ((f"ethernet{number}.{key}", value) for key, value in _nic(nic))


def _head(machine: Machine, first: FirstStart | None) -> Iterator[Line]:
    yield ".encoding", "UTF-8"
    yield "config.version", "8"
    yield "virtualHW.version", str(machine.hw_version)
    yield "displayName", machine.name
    yield "annotation", annotation_of(machine)
    yield "guestOS", guest_os(guest_of(machine).os_type)
    yield "firmware", machine.firmware
    if machine.firmware == "efi":
        yield "uefi.secureBoot.enabled", "FALSE"
    yield "nvram", f"{machine.name}.nvram"
    yield "numvcpus", str(machine.cpus)
    yield "memsize", str(memory_mb(machine))
    yield from _start(machine, first)
    yield "vmci0.present", "TRUE"
    yield "uuid.action", "create"


def _start(machine: Machine, first: FirstStart | None) -> Iterator[Line]:
    if first is not None and machine.firmware == "bios":
        yield BOOT_ORDER
    if first is None or not first.floppy:
        yield "floppy0.present", "FALSE"
        return
    yield "floppy0.present", "TRUE"
    yield "floppy0.fileType", "file"
    yield "floppy0.fileName", first.floppy
    yield "floppy0.startConnected", "TRUE"


def _drives(machine: Machine) -> Iterator[Line]:
    for drive in machine.drives:
        place = f"{drive.bus}{drive.index}:{drive.unit}"
        yield f"{place}.present", "TRUE"
        if drive.bus in _DEVICE_TYPES:
            yield f"{place}.deviceType", _DEVICE_TYPES[drive.bus]
        yield f"{place}.fileName", drive.file


def _cds(machine: Machine) -> Iterator[Line]:
    for cd, (index, unit) in zip(machine.cds, machine.cd_positions(), strict=True):
        place = f"{CD_BUS}{index}:{unit}"
        yield f"{place}.present", "TRUE"
        yield f"{place}.deviceType", "cdrom-image" if cd.file else "cdrom-raw"
        yield f"{place}.fileName", cd.file or "auto detect"
        yield f"{place}.startConnected", _truth(bool(cd.file) and cd.connected)


def _nic(nic: Nic) -> Iterator[Line]:
    yield "present", "TRUE"
    yield "virtualDev", _CARDS.get(nic.adapter, nic.adapter)
    yield "connectionType", CONNECTIONS[nic.type]
    yield "addressType", "static"
    yield "address", nic.hw_addr
    if not STATIC_MACS.match(nic.hw_addr):
        yield "checkMACAddress", "FALSE"
    yield "startConnected", _truth(nic.connected)


def _truth(value: bool) -> str:
    return "TRUE" if value else "FALSE"
