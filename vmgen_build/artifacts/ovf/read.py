"""Reads an OVF descriptor, and says where it breaks the rules of OVF 1.x (DMTF DSP0243) or of VMware's importers.

A descriptor comes from anywhere: one that declares a document type, and with it entities, is not read.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.artifacts.ovf.parse import parse_xml

ENVELOPE = "http://schemas.dmtf.org/ovf/envelope/1"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

_NS = {"ovf": ENVELOPE, "rasd": f"{_CIM}ResourceAllocationSettingData", "vssd": f"{_CIM}VirtualSystemSettingData"}
_RASD = f"{{{_NS['rasd']}}}"
_VMW = "{http://www.vmware.com/schema/ovf}"
_FILE = "ovf:/file/"
_NUMBER = re.compile("[0-9]{1,19}")
_ORDER = ("References", "DiskSection", "NetworkSection", "VirtualSystem")
_ON_CONTROLLER = ("15", "17")
"""ResourceType of what hangs on a controller: CD drives and disks."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that the descriptor refers to. size: as it is said there; capacity: of the disk in it, in bytes, None
    where no disk of the DiskSection stands for it."""

    id: str
    name: str
    size: int
    capacity: int | None


@dataclass(frozen=True, slots=True)
class Ovf:
    """references: in their order. findings: each rule that is broken. nvram: names of the files that hold one."""

    references: tuple[Reference, ...]
    findings: tuple[str, ...]
    nvram: tuple[str, ...] = ()


def read_descriptor(text: bytes) -> Ovf:
    """Raises ValueError for what is no OVF descriptor at all: no UTF-8, no XML, another root element."""
    root = _parsed(text)
    capacities, findings = _disks(root)
    references = _references(root, capacities)
    findings += _reference_findings(root)
    names = {reference.id for reference in references}
    findings += [f"disk {id} refers to file {id!r}, which is not in References" for id in capacities if id not in names]
    findings += _sections(root)
    nvram: list[str] = []
    for hardware in root.iterfind("ovf:VirtualSystem/ovf:VirtualHardwareSection", _NS):
        findings += _hardware(hardware, root, names)
        nvram += _nvram(hardware)
    findings += [f"the nvram is file {id!r}, which is not in References" for id in nvram if id not in names]
    return Ovf(references, tuple(findings), tuple(one.name for one in references if one.id in nvram))


def _parsed(text: bytes) -> ET.Element:
    root = parse_xml(text)
    if root.tag != f"{{{ENVELOPE}}}Envelope":
        raise ValueError(f"the descriptor's root element is {root.tag}, and not the Envelope of OVF 1.x")
    return root


def _files(root: ET.Element) -> list[tuple[str, str, str]]:
    """id, href and size of each File of References, "" where there is none."""
    files = root.iterfind("ovf:References/ovf:File", _NS)
    return [(_attribute(file, "id"), _attribute(file, "href"), _attribute(file, "size")) for file in files]


def _references(root: ET.Element, capacities: Mapping[str, int]) -> tuple[Reference, ...]:
    return tuple(
        Reference(id, name, int(size) if _NUMBER.fullmatch(size) else -1, capacities.get(id))
        for id, name, size in _files(root)
        if id and name
    )


def _reference_findings(root: ET.Element) -> Iterator[str]:
    seen: set[str] = set()
    for id, name, size in _files(root):
        if not id or not name:
            yield "a File of References lacks its ovf:id or ovf:href"
            continue
        if not _NUMBER.fullmatch(size):
            yield f"{name}: ovf:size is {size!r}, and no number of bytes"
        for word in (id, name):
            if word in seen:
                yield f"References names {word} twice"
            seen.add(word)


def _disks(root: ET.Element) -> tuple[dict[str, int], list[str]]:
    """Capacity in bytes of each disk by the id of its file."""
    found: dict[str, int] = {}
    findings = []
    for disk in root.iterfind("ovf:DiskSection/ovf:Disk", _NS):
        name = _attribute(disk, "diskId")
        capacity, unit = _attribute(disk, "capacity"), _attribute(disk, "capacityAllocationUnits") or "byte"
        power = re.fullmatch(r"byte(?: \* 2\^([0-9]{1,2}))?", unit)
        if not _NUMBER.fullmatch(capacity) or not power or not name:
            findings.append(f"disk {name or '?'}: capacity {capacity!r} in {unit!r} is no size of a disk with an id")
            continue
        if _attribute(disk, "format") != STREAM:
            findings.append(f"disk {name}: its format is not {STREAM}")
        found[_attribute(disk, "fileRef")] = int(capacity) << int(power[1] or 0)
    return found, findings


def _sections(root: ET.Element) -> Iterator[str]:
    names = [_local(child) for child in root]
    known = [_ORDER.index(name) for name in names if name in _ORDER]
    if known != sorted(known):
        yield f"the sections stand as {', '.join(names)}; importers ask for the order {', '.join(_ORDER)}"
    if names.count("VirtualSystem") != 1:
        yield f"the descriptor holds {names.count('VirtualSystem')} virtual systems, and not one"
    for element in root.iter():
        if _local(element) == "BootOrderSection":
            yield "there is a BootOrderSection, at which importers add empty disks"
        if element.tag.startswith(f"{{{ENVELOPE}}}") and _local(element).endswith("Section"):
            first = element[0] if len(element) else None
            if first is None or _local(first) != "Info":
                yield f"{_local(element)} does not begin with Info"


def _hardware(hardware: ET.Element, root: ET.Element, files: set[str]) -> Iterator[str]:
    kind = hardware.findtext("ovf:System/vssd:VirtualSystemType", "", _NS)
    if not re.fullmatch(r"vmx-[0-9]{2}", kind):
        yield f"VirtualSystemType is {kind!r}, which vSphere refuses; it is written vmx-13"
    items = hardware.findall("ovf:Item", _NS)
    numbers = [_value(item, "InstanceID") for item in items]
    types = dict(zip(numbers, (_value(item, "ResourceType") for item in items), strict=True))
    if len(types) != len(numbers):
        yield "two devices have one InstanceID"
    networks = {_attribute(network, "name") for network in root.iterfind("ovf:NetworkSection/ovf:Network", _NS)}
    disks = {_attribute(disk, "diskId") for disk in root.iterfind("ovf:DiskSection/ovf:Disk", _NS)}
    resources = {f"ovf:/disk/{disk}" for disk in disks} | {f"ovf:/file/{file}" for file in files}
    for item in items:
        yield from (f"{_name(item)}: {finding}" for finding in _item(item, networks, resources))
    yield from _places(items, types)
    used = {_value(item, "HostResource") for item in items}
    yield from (f"disk {disk} hangs on no controller" for disk in sorted(disks) if f"ovf:/disk/{disk}" not in used)


def _nvram(hardware: ET.Element) -> Iterator[str]:
    """Ids of files: as VMware's tools name the machine's nvram."""
    for one in hardware.iterfind(f"{_VMW}ExtraConfig"):
        value = one.get(f"{_VMW}value", "")
        if one.get(f"{_VMW}key") == "nvram" and value.startswith(_FILE):
            yield value.removeprefix(_FILE)


def _item(item: ET.Element, networks: set[str], resources: set[str]) -> Iterator[str]:
    elements = [child.tag for child in item if child.tag.startswith(_RASD)]
    if elements != sorted(elements):
        yield "its elements are not in the schema's (alphabetical) order"
    for needed in ("ElementName", "InstanceID", "ResourceType"):
        if not _value(item, needed):
            yield f"it has no {needed}"
    connection, resource = _value(item, "Connection"), _value(item, "HostResource")
    if _value(item, "ResourceType") == "10" and connection not in networks:
        yield f"its network {connection!r} is not in the NetworkSection"
    if resource and resource not in resources:
        yield f"its HostResource {resource} is neither a disk nor a file of the descriptor"


def _places(items: Sequence[ET.Element], types: Mapping[str, str]) -> Iterator[str]:
    """What hangs on a controller stands there, at a place of its own."""
    taken: set[tuple[str, str]] = set()
    for item in items:
        if _value(item, "ResourceType") not in _ON_CONTROLLER:
            continue
        place = _value(item, "Parent"), _value(item, "AddressOnParent")
        if types.get(place[0]) not in {"5", "6", "20"}:
            yield f"{_name(item)}: its Parent {place[0]!r} is no controller"
        if place in taken:
            yield f"{_name(item)}: another device has its place {place[1]} on the controller"
        taken.add(place)


def _name(item: ET.Element) -> str:
    return _value(item, "ElementName") or f"the device with InstanceID {_value(item, 'InstanceID') or '?'}"


def _attribute(element: ET.Element, name: str) -> str:
    return element.get(f"{{{ENVELOPE}}}{name}", "")


def _value(item: ET.Element, name: str) -> str:
    return (item.findtext(f"rasd:{name}", "", _NS) or "").strip()


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
