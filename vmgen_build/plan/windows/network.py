"""Interfaces, found by their MAC addresses, gateways, name servers, forwarding and address translation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface

from vmgen_build.plan.batch import WindowsWork, by_powershell, refused, step_of
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.machine import machine_of
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.network import Link, Network, network_of, outer_link
from vmgen_build.plan.windowsprobe import MACHINE, SERVICE_START, WindowsQuestion, probe_of
from vmgen_build.recipe.sections.network import IPInterface

ORDER = 320

PARAMETERS = f"{MACHINE}SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters"

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
    named = zip(cards, (link.name for link in network.links), strict=True)
    probes = tuple(probe for card, name in named for probe in _card_probes(ctx, card, name))
    if network.forwards:
        probes += (_forwards_probe(ctx),)
    yield step_of(ctx, WindowsWork(name="network", title="network", values=values, probes=probes))
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
    probes = tuple(_nat_probes(ctx, networks))
    work = WindowsWork(name="nat", title="address translation", values=values, installs=True, probes=probes)
    return step_of(ctx, work)


def _nat_probes(ctx: PlanContext, networks: list[str]) -> Iterator[Probe]:
    powershell = by_powershell(ctx, "nat")
    values = {} if powershell else {"name": "RemoteAccess"}
    expected = tuple(networks) if powershell else ("Started=True",)
    template, retry = ("nat", 0.0) if powershell else ("service", SERVICE_START)
    question = WindowsQuestion(
        name="nat", setting="[network] nat", expected=expected, template=template, values=values, retry=retry
    )
    yield probe_of(ctx, question)


def _forwards_probe(ctx: PlanContext) -> Probe:
    values = {"key": PARAMETERS, "value": "IPEnableRouter"}
    question = WindowsQuestion(
        name="ip-routing", setting="[network] ip_routing", expected=("0x1",), template="value", values=values
    )
    return probe_of(ctx, question)


def _card_probes(ctx: PlanContext, card: _Card, name: str) -> Iterator[Probe]:
    """What the card is set to, be its cable in or not."""
    for asked in _questions(ctx, card, name):
        yield probe_of(ctx, replace(asked, values={"mac": card.mac, **asked.values}))


def _questions(ctx: PlanContext, card: _Card, name: str) -> Iterator[WindowsQuestion]:
    """Without the card's own address."""
    setting = f"[network] {name}"
    if not card.connected:
        yield _question(f"{name}-down", f"[hardware] {name}: connected", ("down",), "down")
        return
    if card.dhcp:
        yield _question(f"{name}-dhcp", f"{setting}: dhcp", ("0x1",), "dhcp")
    for address in () if card.dhcp else (*card.addresses4, *card.addresses6):
        template = _template(ctx, "address", six=not address.mask)
        asked = _question(f"{name}-{address.ip}", f"{setting}: address", _expected(ctx, address), template)
        yield replace(asked, values={"ip": address.ip})
    for gateway in () if card.dhcp else (*card.gateways4, *card.gateways6):
        template = _template(ctx, "gateway", six=":" in gateway)
        yield _question(f"{name}-gateway-{gateway}", "[network] gateway", (gateway,), template)
    for six, servers in ((False, card.dns4), (True, card.dns6)):
        if servers:
            asked = _question(f"{name}-dns{6 if six else 4}", f"{setting}: dns", servers, "servers")
            yield replace(asked, values={"six": six})


def _template(ctx: PlanContext, name: str, *, six: bool) -> str:
    """PowerShell's questions are for both versions of IP."""
    return f"{name}6" if six and not by_powershell(ctx, f"probes/{name}") else name


def _expected(ctx: PlanContext, address: _Address) -> tuple[str, ...]:
    if by_powershell(ctx, "probes/address"):
        return (f"{address.ip}/{address.prefix}",)
    return (f"{address.ip}/{address.mask}" if address.mask else address.ip,)


def _question(name: str, setting: str, expected: tuple[str, ...], template: str) -> WindowsQuestion:
    return WindowsQuestion(name=name, setting=setting, expected=expected, template=template)


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
