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
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import TypeVar

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.boots.model import IPAddress, IPInterface
from vmgen_build.errors import BuildError
from vmgen_build.host.bounded import finish_within
from vmgen_build.host.run import NULL, PIPE, Word, kill, start
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import GUEST_ADDRESSES, GUEST_LINKS, IP_ANSWER

IpQuery = Callable[..., list[Field]]
"""Words of ip(8) -> what it answers to them (as JSON) in the guest. Raises BuildError."""

T = TypeVar("T")

_WORD = 64
"""Characters of a name or an address in an answer of ip(8)."""

TESTS = ip_network("198.18.0.0/15")

KNOCK = 1.5
"""Seconds that a connection may take; what a guest answers over a virtual cable takes a few milliseconds."""

PATIENCE = 60.0
"""Seconds for one answer of the host's own ip(8)."""

PATIENCE_OF_USERS = 5.0
"""Seconds that a connection to a machine that is used may take."""


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
    command += ["--pid-file=", f"--dhcp-leasefile={scratch / 'leases'}", "--log-facility=-"]
    for index, name in enumerate(bridges):
        net = _host(index).rpartition(".")[0]
        command += [f"--interface={name}", f"--dhcp-range={net}.10,{net}.250,255.255.255.0,1h"]
    server = start(command, stdout=NULL, stderr=NULL)
    try:
        yield
    finally:
        kill(server)


def _as_nobody() -> list[str]:
    """dnsmasq opens its ports and its file of leases first, and then gives its rights up."""
    nobody = pwd.getpwnam("nobody")
    return ["--user=nobody", f"--group={grp.getgrgid(nobody.pw_gid).gr_name}"]


def answer_as_gateway(ask: IpQuery, nics: Iterable[BridgedNic]) -> None:
    """Give the host's side the addresses that the running guest has as gateways, or else a free one of each of its
    networks, and routes to all of its addresses: a guest without a default route answers its neighbours alone.

    Raises BuildError, also where the guest's answers are none that ip(8) gives, or too many.
    """
    try:
        addresses, gateways = _addresses(ask), _gateways(ask)
    except ValueError as error:
        raise BuildError(f"cannot understand the addresses of the booted machine: {error}") from error
    for nic in nics:
        theirs = [a for a in addresses.get(nic.name, []) if a.ip not in TESTS]
        for gateway in gateways.get(nic.name, []):
            if gateway not in TESTS:
                _own(nic.bridge, gateway, next((a for a in theirs if gateway in a.network), None))
        for address in theirs:
            near = next((g for g in gateways.get(nic.name, []) if g in address.network), None)
            if near is None:
                near = _neighbour(address)
                _own(nic.bridge, near, address)
            set_up("route", "replace", str(address.ip), "dev", nic.bridge, "src", str(near))


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


def stated(addresses: Iterable[tuple[str, IPInterface]], gateways: Iterable[tuple[str, IPAddress]]) -> IpQuery:
    """Answers as ip(8) would in a guest that has these, each with its network device, and cannot be asked."""
    shown = [
        {"ifname": name, "addr_info": [{"scope": "global", "local": str(a.ip), "prefixlen": a.network.prefixlen}]}
        for name, a in addresses
    ]
    routes = {
        f"-{version}": [{"gateway": str(g), "dev": name} for name, g in gateways if g.version == version]
        for version in (4, 6)
    }
    return lambda *words: ip_entries(json.dumps(routes.get(words[0], shown)))


def addresses_of(ask: IpQuery) -> list[IPInterface]:
    """The addresses of a running guest that others may reach it by, IPv4 first. Raises BuildError."""
    try:
        found = [address for own in _addresses(ask).values() for address in own]
    except ValueError as error:
        raise BuildError(f"cannot understand the addresses of the booted machine: {error}") from error
    return sorted(found, key=lambda address: address.version)


def connected(addresses: Iterable[IPAddress], port: int) -> socket.socket:
    """A connection to the first of them that takes one. Raises OSError where none does."""
    failure = OSError(errno.EHOSTUNREACH, "the machine has no address yet")
    for address in addresses:
        try:
            connection = socket.create_connection((str(address), port), timeout=PATIENCE_OF_USERS)
            connection.settimeout(None)
            return connection
        except OSError as error:
            failure = error
    raise failure


def _is_there(address: str) -> bool:
    """Whether a machine with this address answered ARP or neighbour discovery: one that is gone must not look like one
    that drops packets."""
    entries = ip_entries(_run(["ip", "-json", "neighbour", "show", address]))
    return any(entry.optional("lladdr") is not None for entry in entries)


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

    def ask(*words: str) -> list[Field]:
        return ip_entries(_run(["nsenter", f"--target={pid}", "--net", "ip", "-json", *words]))

    return ask


def ip_entries(text: str) -> list[Field]:
    """What ip(8) -json prints: nothing at all, or a list in which what does not fit the question is empty.

    Raises BuildError where it is anything else.
    """
    try:
        found = Field(parse_json(text.strip() or "[]", IP_ANSWER), "ip")
        return [entry for entry in found.items(GUEST_LINKS) if entry.value != {}]
    except ValueError as error:
        raise BuildError(f"cannot understand what the booted machine's ip answers: {error}") from error


def set_up(*words: str) -> None:
    """ip(8) on the host's side. Raises BuildError."""
    _run(["ip", *words])


def _addresses(ask: IpQuery) -> dict[str, list[IPInterface]]:
    """Interface -> its addresses of global scope. Raises ValueError."""
    found: dict[str, list[IPInterface]] = {}
    for link in ask("address", "show"):
        own = found.setdefault(_name(link["ifname"]), [])
        for address in link.or_else("addr_info", []).items(IP_ANSWER):
            if address["scope"].text(_WORD) == "global":
                length = address["prefixlen"].whole(0, 128)
                _add(own, ip_interface(f"{address['local'].text(_WORD)}/{length}"), "addresses")
    return found


def _gateways(ask: IpQuery) -> dict[str, list[IPAddress]]:
    """Interface -> the gateways of its default routes. Raises ValueError."""
    found: dict[str, list[IPAddress]] = {}
    for family in ("-4", "-6"):
        for route in ask(family, "route", "show", "default"):
            if (gateway := route.optional("gateway")) is not None:
                _add(found.setdefault(_name(route["dev"]), []), ip_address(gateway.text(_WORD)), "gateways")
    return found


def _name(field: Field) -> str:
    return field.text(_WORD)


def _add(found: list[T], one: T, what: str) -> None:
    found.append(one)
    if len(found) > GUEST_ADDRESSES.amount:
        raise ValueError(f"one of its interfaces has more {what}: {GUEST_ADDRESSES.exceeded}")


def _run(command: Sequence[Word]) -> str:
    """What the program, which must succeed, prints. Raises BuildError."""
    finished = finish_within(start(command, stderr=PIPE), IP_ANSWER, timeout=PATIENCE)
    if finished.code != 0:
        raise BuildError(f"cannot set up the network to boot in: {Path(str(command[0])).name}: {finished.reason}")
    return finished.text
