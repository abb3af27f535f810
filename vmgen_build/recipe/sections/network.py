"""[network]: addresses, name servers, firewall; networking tools stand in it too, as programs."""

from __future__ import annotations

# ruff: noqa: RUF009 - option, named and free make dataclass fields
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, free, named, option, recipe_section
from vmgen_build.recipe.types.netfilter import Rule

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, kw_only=True)
class Interface(Section):
    """type: by default static where an address stands, else dhcp (the loader fills it in)."""

    type: str = option(
        t.choice("static", "dhcp"),
        default="",
        doc="How it gets its address; static is the default where an address stands, else dhcp.",
    )
    address: tuple[IPInterface, ...] = option(
        t.addresses,
        default=(),
        doc="IPv4 or IPv6 addresses, comma-separated; each may carry its own prefix length (192.168.1.2/24).",
        example="192.168.1.2",
        also="ip, ip address, ipv4, ipv6, static ip",
    )
    network: tuple[int, ...] = option(
        t.networks,
        default=(),
        doc="Mask or prefix length of each address without one of its own.",
        example="255.255.255.0",
        also="netmask, mask, subnet, prefix",
    )
    gateway: tuple[IPAddress, ...] = option(
        t.ip_addresses,
        default=(),
        doc="Default gateway by this interface.",
        example="192.168.1.254",
        also="router, default route, route",
    )
    dns: tuple[IPAddress, ...] = option(
        t.ip_addresses, default=(), doc="Name servers.", example="192.168.1.1", also="nameserver, resolver"
    )


@dataclass(frozen=True, kw_only=True)
class OpenPort(Section):
    proto: str = option(t.choice("tcp", "udp", "all"), default="tcp", doc="Protocol; all is tcp and udp.")
    port: tuple[int, int] = option(t.port_range, doc="Port or range (first-last).", example="8000-8080")
    description: str | None = option(t.text, default=None, doc="What it is for.")


@recipe_section("network", programs=True)
@dataclass(frozen=True, kw_only=True)
class Network(Section):
    gateway: tuple[IPAddress, ...] = option(
        t.ip_addresses,
        default=(),
        doc="Default gateway, of each address family at most one.",
        example="192.168.1.254",
        also="router, default route, route",
    )
    ip_routing: bool = option(
        t.boolean, default=False, doc="Forward packets between interfaces.", also="forwarding, ip_forward, router"
    )
    nat: bool = option(
        t.boolean,
        default=False,
        doc="Masquerade what is forwarded out of the interface that has the default gateway.",
        also="masquerade, masquerading",
    )
    eths: dict[str, Interface] = named(
        Interface,
        names=t.interface_name,
        doc="One section per interface, named as in [hardware] eths.",
        also="interface, interfaces, nic",
    )
    nameservers: tuple[IPAddress, ...] = free(
        t.ip_address,
        doc="Name servers, any key (nameserver0 = 192.168.1.1), or one comma-separated option.",
        also="dns, nameserver, resolver",
    )
    open_ports: dict[str, OpenPort] = named(
        OpenPort, doc="Ports reachable from outside. With any of these, all others are closed.", also="firewall, ports"
    )
    allowed_programs: tuple[str, ...] = free(
        t.program_name, doc="Programs whose ports (from the catalogue) are reachable from outside.", also="firewall"
    )
    firewall_rules: tuple[Rule, ...] = free(
        t.iptables_rule,
        doc="Own rules, iptables arguments (-A INPUT -s 10.0.0.0/8 -j ACCEPT), in order, before the generated ones.",
        also="iptables, nftables",
    )
