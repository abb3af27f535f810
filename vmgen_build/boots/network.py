"""The network that a booted machine expects around it, inside a worker's own network namespace.

Each bridge that the configuration names exists there. On each, a DHCP server gives addresses out of 198.18.0.0/15,
which is set aside for tests (RFC 2544), and the host's side answers as the gateway that the guest is configured for.
"""

from __future__ import annotations

import errno
import grp
import json
import pwd
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.host.run import NULL, Word, kill, output, start

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface

IpQuery = Callable[..., list[dict[str, Any]]]
"""Words of ip(8) -> what it answers to them (as JSON) in the guest."""

TESTS = ip_network("198.18.0.0/15")

KNOCK = 1.5
"""Seconds that a connection may take; what a guest answers over a virtual cable takes a few milliseconds."""


def make_bridges(nics: Iterable[BridgedNic]) -> list[str]:
    """Create the bridges, up and with an address of the host's. Their names, in order."""
    names = list(dict.fromkeys(nic.bridge for nic in nics))
    set_up("link", "set", "lo", "up")
    for index, name in enumerate(names):
        set_up("link", "add", name, "type", "bridge")
        set_up("address", "add", f"{_host(index)}/24", "dev", name)
        set_up("link", "set", name, "up")
    return names


@contextmanager
def dhcp_server(bridges: Sequence[str], scratch: Path) -> Iterator[None]:
    """dnsmasq(8) on every bridge; it gives itself as gateway and name server, and knows no name."""
    if not bridges:
        yield
        return
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-ping"]
    command += ["--dhcp-authoritative", "--bind-interfaces", "--except-interface=lo", *_as_nobody()]
    command += ["--pid-file=", f"--dhcp-leasefile={scratch / 'leases'}", f"--log-facility={scratch / 'dnsmasq.log'}"]
    for index, name in enumerate(bridges):
        net = _host(index).rpartition(".")[0]
        command += [f"--interface={name}", f"--dhcp-range={net}.10,{net}.250,255.255.255.0,1h"]
    server = start(command, stdout=NULL, stderr=NULL)
    try:
        yield
    finally:
        kill(server)


def _as_nobody() -> list[str]:
    """dnsmasq opens its ports, its file of leases and its log first, and then gives its rights up."""
    nobody = pwd.getpwnam("nobody")
    return ["--user=nobody", f"--group={grp.getgrgid(nobody.pw_gid).gr_name}"]


def answer_as_gateway(ask: IpQuery, nics: Iterable[BridgedNic]) -> None:
    """Give the host's side the addresses that the running guest has as gateways, or else a free one of each of its
    networks, and routes to all of its addresses."""
    addresses, gateways = _addresses(ask), _gateways(ask)
    for nic in nics:
        theirs = [a for a in addresses.get(nic.name, []) if a.ip not in TESTS]
        for gateway in gateways.get(nic.name, []):
            if gateway not in TESTS:
                _own(nic.bridge, gateway, next((a for a in theirs if gateway in a.network), None))
        for address in theirs:
            if not any(g in address.network for g in gateways.get(nic.name, [])):
                _own(nic.bridge, _neighbour(address), address)
            set_up("route", "replace", str(address.ip), "dev", nic.bridge)


def knock(address: str, port: int) -> str:
    """Try to connect: "open" (connected or refused), "closed" (no answer), or why nothing can be said."""
    try:
        socket.create_connection((address, port), timeout=KNOCK).close()
    except ConnectionError:
        return "open"
    except TimeoutError:
        return "closed" if _is_there(address) else _nobody(address)
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return _nobody(address)
        return error.strerror or str(error)
    return "open"


def _is_there(address: str) -> bool:
    """Whether a machine with this address answered ARP or neighbour discovery: one that is gone must not look like one
    that drops packets."""
    return any("lladdr" in entry for entry in ip_entries(_run(["ip", "-json", "neighbour", "show", address])))


def _nobody(address: str) -> str:
    return f"nobody has the address {address}"


def _host(index: int) -> str:
    return f"198.18.{index}.1"


def _own(bridge: str, address: IPAddress, theirs: IPInterface | None) -> None:
    """Take an address in the network that it shares with the guest."""
    length = theirs.network.prefixlen if theirs is not None else address.max_prefixlen
    duplicates_are_no_matter = ["nodad"] if address.version == 6 else []
    set_up("address", "replace", f"{address}/{length}", "dev", bridge, *duplicates_are_no_matter)


def _neighbour(address: IPInterface) -> IPAddress:
    """An address of the guest's network that the guest does not have; its own where there is no other."""
    network = address.network
    for offset in (1, 2, 3):
        if offset < network.num_addresses - (address.version == 4):
            candidate = network[offset]
            if candidate != address.ip:
                return candidate
    return ip_address(TESTS[-2]) if address.version == 4 else ip_address("fd00:198:18::1")


def ip_inside(pid: int) -> IpQuery:
    """The host's ip(8) in the network of the guest whose init is `pid`: a guest need not have one."""

    def ask(*words: str) -> list[dict[str, Any]]:
        return ip_entries(_run(["nsenter", f"--target={pid}", "--net", "ip", "-json", *words]))

    return ask


def ip_entries(text: str) -> list[dict[str, Any]]:
    """What ip(8) -json prints: nothing at all, or a list in which what does not fit the question is empty."""
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return [entry for entry in found if entry]


def set_up(*words: str) -> None:
    """ip(8) on the host's side. Raises BuildError."""
    _run(["ip", *words])


def _addresses(ask: IpQuery) -> dict[str, list[IPInterface]]:
    """Interface -> its addresses of global scope."""
    return {
        link["ifname"]: [
            ip_interface(f"{a['local']}/{a['prefixlen']}") for a in link.get("addr_info", []) if a["scope"] == "global"
        ]
        for link in ask("address", "show")
    }


def _gateways(ask: IpQuery) -> dict[str, list[IPAddress]]:
    """Interface -> the gateways of its default routes."""
    found: dict[str, list[IPAddress]] = {}
    for family in ("-4", "-6"):
        for route in ask(family, "route", "show", "default"):
            if "gateway" in route:
                found.setdefault(route["dev"], []).append(ip_address(route["gateway"]))
    return found


def _run(command: Sequence[Word]) -> str:
    return output(command, "cannot set up the network to boot in")
