"""Addresses, ports, adapters, firewall rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from ipaddress import ip_address as _ip
from ipaddress import ip_interface as _net

from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import Context, Type, list_of, of_text
from vmgen_build.recipe.types.netfilter import parse_rule

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}", re.IGNORECASE)


def _mac(value: Value, ctx: Context) -> str | None:
    if not _MAC.fullmatch(value.text):
        raise ValueError(f"{shown(value.text)} is not a MAC address; write six pairs of hex digits: 00:16:3e:12:34:56")
    mac = value.text.lower().replace("-", ":")
    if mac == "00:00:00:00:00:00":
        raise ValueError(f"{shown(mac)} is no adapter's address; leave the option out to have one made")
    if int(mac[:2], 16) & 1:
        ctx.warnings.append(
            (f"{shown(mac)} is a multicast address, which no adapter can have; one is made instead", "multicast-mac")
        )
        return None
    return mac


mac = Type("a MAC address", _mac)


def made_mac(vm_id: str, interface: str) -> str:
    """A locally administered unicast address (IEEE 802: second bit of the first byte set, first clear), always the
    same for the same machine and interface."""
    from hashlib import sha256

    digest = sha256(f"vmgen-build {vm_id} {interface}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (2, *digest[:5]))


@of_text("an interface's name")
def interface_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", value):
        raise ValueError(f"{shown(value)} is not an interface's name; write up to 15 letters and digits, such as eth0")
    return value


def parse_ip(text: str) -> IPv4Address | IPv6Address:
    try:
        address = _ip(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not {_family(text)}") from None
    return _usable(address, text)


def parse_interface(text: str) -> IPv4Interface | IPv6Interface:
    host, slash, length = text.partition("/")
    address = parse_ip(host.strip())
    if address.is_multicast or address.is_loopback:
        raise ValueError(f"{shown(text)} is no address that an interface can have")
    if not slash:
        return _net(address)
    if address.version == 6 and not length.strip().isdecimal():
        raise ValueError(f"{shown(text)} is not an IPv6 address with a prefix length; write one as 2001:db8::2/64")
    return _net((address, parse_prefix(length.strip(), address.max_prefixlen)))


def _family(text: str) -> str:
    """What a wrong address was meant to be, and what one looks like."""
    if ":" in text:
        return "an IPv6 address; write one such as 2001:db8::2"
    kind = "an IPv4" if re.fullmatch(r"[0-9./]+", text) else "an IP"
    return f"{kind} address; write one such as 192.168.1.2"


def _usable(address: IPv4Address | IPv6Address, text: str) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{shown(text)} carries a scope; write it without % and what follows")
    if address.is_unspecified:
        raise ValueError(f"{shown(text)} is no machine's address")
    return address


def parse_prefix(text: str, longest: int = 128) -> int:
    """Prefix length of "24", "/24" or, for IPv4 alone, "255.255.255.0"."""
    digits = text.removeprefix("/")
    if re.fullmatch(r"[0-9]{1,3}", digits):
        if not 1 <= int(digits) <= longest:
            raise ValueError(f"{shown(text)} is no prefix length; give one from 1 to {longest}")
        return int(digits)
    try:
        bits = f"{int(IPv4Address(text)):032b}"
    except ValueError:
        raise ValueError(
            f"{shown(text)} is neither a network mask nor a prefix length; write 255.255.255.0 or 24"
        ) from None
    if not re.fullmatch("1+0*", bits):
        raise ValueError(
            f"{shown(text)} is not a network mask: not all its ones are in front; write 255.255.255.0 or 24"
        )
    return bits.count("1")


ip_address = of_text("an IP address")(parse_ip)
ip_addresses = list_of("IP addresses, comma-separated", parse_ip, unique=True)
addresses = list_of("IP addresses, comma-separated, each with /prefix or not", parse_interface)
networks = list_of("a network mask or prefix length", parse_prefix)


@of_text("a port, or a range as first-last")
def port_range(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})(?:\s*[-:]\s*([0-9]{1,5}))?", value)
    if not match:
        raise ValueError(f"{shown(value)} is not a port; give a number from 1 to 65535, or a range such as 8000-8080")
    first, last = int(match[1]), int(match[2] or match[1])
    if not (1 <= first <= 65535 and 1 <= last <= 65535):
        raise ValueError(f"{shown(value)} is out of range; ports go from 1 to 65535")
    if first > last:
        raise ValueError(f"{shown(value)} ends before it begins; write {last}-{first}")
    return first, last


_NEXT_RULE = re.compile(r",\s*(?=(?:(?:/\S*/)?ip6?tables\s|-[a-zA-Z-]+\s))")


def _rules(value: Value) -> Sequence[Value]:
    """One rule a line; within a line, a comma separates rules only where a new one begins after it."""
    if len(value.items) > 1 and all(re.match(r"-|(/\S*/)?ip6?tables\s", item) for item in value.items):
        return value.parts()
    lines = [line.strip() for line in value.text.split("\n")]
    return [value.part(rule) for line in lines if line for rule in _NEXT_RULE.split(line)]


iptables_rule = Type("iptables rules", lambda value, _: parse_rule(value.text), split=_rules)
