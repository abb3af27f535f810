"""Interfaces, addresses, gateways, forwarding."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, did_you_mean, place, shown
from vmgen_build.recipe.sections.network import Interface, IPAddress, IPInterface, Network

_ETHS = ("network", "eths")


def check(draft: Draft, problems: Problems) -> None:
    network, hardware = draft.network, draft.hardware
    macs = (
        (eth.hw_addr, eth.at("hw_addr"), place(("hardware", "eths", eth.name), "hw_addr"))
        for eth in hardware.eths.values()
    )
    unique(macs, "the address", problems)
    _adapters(draft, problems)
    for eth in network.eths.values():
        _interface(eth, problems)
    addresses = (
        (a.ip, e.at("address"), place((*_ETHS, e.name), "address")) for e in network.eths.values() for a in e.address
    )
    unique(addresses, "the address", problems)
    _gateway(network, problems)
    _one_default(draft, problems)
    if network.nat and not network.ip_routing and "ip_routing" not in network.faulty:
        text = "nothing is forwarded while ip_routing is off; add ip_routing = yes"
        problems.warn(network.at("nat"), "[network] nat", text, "nat-alone")


def _adapters(draft: Draft, problems: Problems) -> None:
    """An interface with settings must be one of the adapters, where those are listed."""
    adapters = draft.hardware.eths
    for eth in draft.network.eths.values():
        if adapters and eth.name not in adapters:
            text = (
                f"[hardware] has no adapter {shown(eth.name)}; add it to its [[eths]]{did_you_mean(eth.name, adapters)}"
            )
            problems.error(eth.where, place((*_ETHS, eth.name)), text, "no-adapter")


def _interface(eth: Interface, problems: Problems) -> None:
    if eth.faulty & {"type", "address", "network"}:
        return
    path = (*_ETHS, eth.name)
    if eth.type == "static" and not eth.address:
        text = "a static interface needs an address; write, for example, address = 192.168.1.2/24"
        problems.error(eth.at("type"), place(path, "address"), text, "address")
    if eth.type == "dhcp":
        for key in ("address", "gateway"):
            if getattr(eth, key):
                text = f"a dhcp interface has its {key} given; take the option out, or write type = static"
                problems.error(eth.at(key), place(path, key), text, "dhcp")
        return
    for address in eth.address:
        if wrong := _of_the_net(address.ip, address):
            problems.error(eth.at("address", address), place(path, "address"), wrong, "address")
    for gateway in eth.gateway if eth.address else ():
        if wrong := _gateway_wrong(gateway, eth.address):
            problems.error(eth.at("gateway", gateway), place(path, "gateway"), wrong, "gateway")


def _of_the_net(ip: IPAddress, interface: IPInterface) -> str:
    """What is wrong with an address that stands for its whole network (RFC 3021 frees /31 from both)."""
    net = interface.network
    if ip.version != 4 or net.prefixlen > 30:
        return ""
    if ip == net.network_address:
        return f"'{ip}' is the address of the network {net} itself; give one within it"
    if ip == net.broadcast_address:
        return f"'{ip}' is the broadcast address of {net}; give one below it"
    return ""


def _gateway_wrong(gateway: IPAddress, addresses: tuple[IPInterface, ...]) -> str:
    """What is wrong with a gateway as seen from these addresses."""
    same = [a for a in addresses if a.version == gateway.version]
    if gateway.is_link_local and gateway.version == 6:
        return ""
    inside = [a for a in same if gateway in a.network]
    if not inside:
        nets = " and ".join(dict.fromkeys(str(a.network) for a in same)) or f"any IPv{gateway.version} network here"
        return f"'{gateway}' is outside {nets}; give an address of the interface's network"
    if any(gateway == a.ip for a in inside):
        return f"'{gateway}' is the machine's own address; give the router's"
    return _of_the_net(gateway, inside[0])


def _gateway(network: Network, problems: Problems) -> None:
    """The global gateway must lie in a network of some interface, unless dhcp may bring it."""
    eths = network.eths.values()
    if any(eth.faulty & {"type", "address", "network"} for eth in eths):
        return
    static = tuple(address for eth in eths if eth.type == "static" for address in eth.address)
    dhcp = any(eth.type == "dhcp" for eth in eths) or not eths
    for gateway in network.gateway:
        if dhcp and not any(gateway.version == a.version for a in static):
            kind = f"IPv{gateway.version}"
            text = f"'{gateway}' serves no interface: none has a static {kind} address, and dhcp brings its own"
            problems.warn(network.at("gateway", gateway), "[network] gateway", text, "gateway")
        elif wrong := _gateway_wrong(gateway, static):
            problems.error(network.at("gateway", gateway), "[network] gateway", wrong, "gateway")


def _gateways(network: Network) -> Iterator[tuple[IPAddress, Position, str]]:
    for gateway in network.gateway:
        yield gateway, network.at("gateway", gateway), "[network] gateway"
    for eth in network.eths.values():
        for gateway in eth.gateway:
            yield gateway, eth.at("gateway", gateway), place((*_ETHS, eth.name), "gateway")


def _one_default(draft: Draft, problems: Problems) -> None:
    """At most one default gateway of each version of IP, but for families that take several, by metric."""
    several = draft.system is not None and draft.system.family.several_gateways
    first: dict[int, tuple[IPAddress, str]] = {}
    for gateway, where, path in _gateways(draft.network):
        known = first.setdefault(gateway.version, (gateway, path))
        if known[0] == gateway:
            continue
        text = (
            f"'{gateway}' is a second IPv{gateway.version} default gateway, after '{known[0]}' of {known[1]}; keep one"
        )
        (problems.warn if several else problems.error)(where, path, text, "two-gateways")
