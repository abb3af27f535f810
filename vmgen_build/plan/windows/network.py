"""Interfaces, found by their MAC addresses, gateways, name servers, forwarding and address translation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

from vmgen_build.plan.batch import WindowsWork, refused, step_of
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.machine import machine_of
from vmgen_build.plan.model import Step
from vmgen_build.plan.network import Link, Network, network_of, outer_link
from vmgen_build.recipe.sections.network import IPInterface

ORDER = 320

FEATURES = {(6, 1): "NPAS-RRAS-Services", (6, 2): "Routing", (6, 3): "Routing"}
"""Version of a server -> the role service of routing, as its PowerShell calls it. 2008 has a program for roles, and
2003 has the service itself."""


@dataclass(frozen=True)
class _Address:
    ip: str
    mask: str
    prefix: int


@dataclass(frozen=True)
class _Card:
    """An interface as the templates take it. mac: "00:16:3E:..". gateways4, gateways6: the default ones by it. dns4,
    dns6: its name servers, where it has a fixed address; the first of them is the preferred one."""

    mac: str
    dhcp: bool
    connected: bool
    addresses4: tuple[_Address, ...]
    addresses6: tuple[_Address, ...]
    gateways4: tuple[str, ...]
    gateways6: tuple[str, ...]
    dns4: tuple[str, ...]
    dns6: tuple[str, ...]


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    network = network_of(ctx.recipe)
    _refuse_ipv6(ctx, network)
    macs = {nic.name: nic.hw_addr for nic in machine_of(ctx.recipe).nics}
    cards = [_card(ctx, network, link, macs[link.name]) for link in network.links]
    values = {"cards": cards, "forwards": network.forwards}
    yield step_of(ctx, WindowsWork(name="network", title="network", values=values))
    if ctx.recipe.network.nat:
        yield _translation(ctx, network, macs)


def _translation(ctx: PlanContext, network: Network, macs: dict[str, str]) -> Step | LeftOut:
    """Servers have it as a role, and so has Windows 10 on; older ones share a connection by hand alone."""
    if not ctx.system.server and ctx.system.nt < (10, 0):
        reason = f"{ctx.system.title} shares a connection by its dialogs alone (Internet Connection Sharing)"
        return LeftOut("network", "nat", reason)
    outer = outer_link(ctx.recipe)
    inner = [link for link in network.links if link.name != outer.name]
    networks = [str(a.network) for link in inner for a in link.addresses if a.version == 4]
    if ctx.system.nt >= (10, 0) and not networks:
        return LeftOut("network", "nat", "no interface beside the one that leads outside has a fixed IPv4 address")
    values = {
        "outer": macs[outer.name].upper(),
        "inner": [macs[link.name].upper() for link in inner],
        "networks": networks,
        "feature": FEATURES.get(ctx.system.nt, ""),
    }
    return step_of(ctx, WindowsWork(name="nat", title="address translation", values=values, installs=True))


def _card(ctx: PlanContext, network: Network, link: Link, mac: str) -> _Card:
    servers = _servers(ctx, network, link)
    gateways = _gateways(ctx, network, link)
    return _Card(
        mac=mac.upper(),
        dhcp=link.dhcp,
        connected=link.connected,
        addresses4=tuple(_address(a) for a in link.of_family(4)),
        addresses6=tuple(_address(a) for a in link.of_family(6)),
        gateways4=tuple(g for g in gateways if ":" not in g),
        gateways6=tuple(g for g in gateways if ":" in g),
        dns4=tuple(s for s in servers if ":" not in s),
        dns6=tuple(s for s in servers if ":" in s),
    )


def _address(address: IPInterface) -> _Address:
    mask = str(address.netmask) if isinstance(address, IPv4Interface) else ""
    return _Address(str(address.ip), mask, address.network.prefixlen)


def _gateways(ctx: PlanContext, network: Network, link: Link) -> list[str]:
    """Of a static interface all that its own section names: Windows has a default route by each."""
    section = ctx.recipe.network.eths.get(link.name)
    own = [str(gateway) for gateway in (section.gateway if section else ())]
    general = [str(route.gateway) for route in network.routes if route.link == link]
    return list(dict.fromkeys([*own, *general])) if link.addresses else []


def _servers(ctx: PlanContext, network: Network, link: Link) -> list[str]:
    """Its own, then those of [network] itself; an interface without a fixed address keeps those of DHCP unless the
    recipe names some."""
    section = ctx.recipe.network.eths.get(link.name)
    own = [str(server) for server in (section.dns if section else ())]
    return list(dict.fromkeys([*own, *(str(server) for server in ctx.recipe.network.nameservers)]))


def _refuse_ipv6(ctx: PlanContext, network: Network) -> None:
    """Windows XP and 2003 have no IPv6 before it is installed by hand."""
    if ctx.system.nt >= (6, 0):
        return
    for link in network.links:
        if link.of_family(6):
            section = ctx.recipe.network.eths[link.name]
            text = f"{ctx.system.title} has no IPv6; write IPv4 addresses"
            raise refused(section.at("address"), f"[network.eths.{link.name}] address", text)
