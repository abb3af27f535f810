"""What a recipe leaves out and its other parts say: prefix lengths, interface types, usable MAC addresses, and devices
that the system has drivers for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_interface

from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.problems import Problems, place, shown
from vmgen_build.recipe.schema import Section
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.sections.network import Interface, IPInterface, Network
from vmgen_build.recipe.types.network import made_mac, parse_prefix

_ETHS = ("network", "eths")


def with_macs(hardware: Hardware) -> Hardware:
    """An address is made for each adapter whose own is unusable or empty."""
    if "vm_id" in hardware.faulty:
        return hardware
    eths = {
        name: replace(eth, hw_addr=made_mac(hardware.vm_id, name))
        if eth.hw_addr is None and "hw_addr" in eth.places and "hw_addr" not in eth.faulty
        else eth
        for name, eth in hardware.eths.items()
    }
    return replace(hardware, eths=eths)


def with_drivers(hardware: Hardware) -> Hardware:
    """Devices, firmware and memory that a system needs whose disks are not made here, where the recipe names none."""
    needs = None if "os" in hardware.faulty else hardware.os.needs
    if needs is None:
        return hardware
    bus = disk_type(needs.disks[0])
    return replace(
        hardware,
        firmware=hardware.firmware if _names(hardware, "firmware") else needs.firmware[0],
        ram=hardware.ram if _names(hardware, "ram") else max(1 << 30, needs.ram),
        hdds={n: disk if _names(disk, "type") else replace(disk, type=bus) for n, disk in hardware.hdds.items()},
        eths={
            n: eth if _names(eth, "adapter") else replace(eth, adapter=needs.adapters[0])
            for n, eth in hardware.eths.items()
        },
    )


def disk_type(kind: str) -> str:
    """Of a disk that hangs on such a controller."""
    return "scsi" if kind in ("lsilogic", "pvscsi") else kind


def _names(section: Section, option: str) -> bool:
    return option in section.places or option in section.faulty


def with_addresses(network: Network, root: IniSection, problems: Problems) -> Network:
    """Each address gets the mask that `network` gives it; an interface without a type gets one."""
    container = root.sections.get("network", root).sections.get("eths")
    if container is None:
        return network
    eths = {name: _completed(eth, container.sections[name], problems) for name, eth in network.eths.items()}
    return replace(network, eths=eths)


def _completed(eth: Interface, ini: IniSection, problems: Problems) -> Interface:
    faulty = set(eth.faulty)
    address = eth.address
    if address and not faulty & {"address", "network"}:
        path = place((*_ETHS, eth.name), "address")
        found = _with_masks(eth, ini.values["address"].items, ini.values.get("network"))
        if isinstance(found, str):
            problems.error(eth.at("address"), path, found, "value")
            faulty.add("address")
        else:
            address = found
    kind = eth.type or ("static" if address or "address" in faulty else "dhcp")
    return replace(eth, type=kind, address=address, faulty=frozenset(faulty))


def _with_masks(eth: Interface, texts: Sequence[str], masks: Value | None) -> tuple[IPInterface, ...] | str:
    """The addresses with their prefix lengths, or what is wrong. One mask serves all addresses that lack one."""
    given = list(masks.items) if masks else []
    bare = sum("/" not in text for text in texts)
    if given and len(given) not in (1, bare):
        return f"{bare} addresses lack a prefix length and network gives {len(given)}; give one each, or one for all"
    if bare and not given:
        first = next(text for text in texts if "/" not in text)
        short, mask = ("64", "64") if ":" in first else ("24", "255.255.255.0")
        return f"{shown(first)} has no network; write {first}/{short}, or network = {mask}"
    queue = given if len(given) == bare else given * bare
    result: list[IPInterface] = []
    for text, address in zip(texts, eth.address, strict=True):
        if "/" in text:
            result.append(address)
            continue
        mask = queue.pop(0)
        if address.version == 6 and "." in mask:
            return f"{shown(text)} is IPv6, and {shown(mask)} is an IPv4 mask; write {text}/64"
        try:
            prefix = parse_prefix(mask, address.max_prefixlen)
        except ValueError as error:
            return str(error)
        result.append(ip_interface((address.ip, prefix)))
    return tuple(result)
