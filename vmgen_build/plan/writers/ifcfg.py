"""The network by the files of Red Hat's initscripts: their sysconfig.txt, "/etc/sysconfig/network-scripts/".

Further IPv4 addresses of a link are aliases, which all versions know. The scripts of what is younger write no
/etc/resolv.conf where PEERDNS is no.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import StepFile
from vmgen_build.plan.network import Link, Network, Route
from vmgen_build.plan.writers.model import Output, own_packages

HEAD = "# Written by vmgen-build.\n"


def write(wanted: Network, ctx: PlanContext) -> Output:
    links = {name: text for link in wanted.links for name, text in _files(link, wanted)}
    texts = {
        **links,
        "resolv.conf": "".join(f"nameserver {s}\n" for s in wanted.nameservers),
        "network": f"NETWORKING=yes\nNETWORKING_IPV6=yes\nIPV6FORWARDING={_yes(wanted.forwards)}\n",
        "sysctl.conf": "".join(_sysctl(wanted)),
    }
    return Output(
        script=ctx.renderer.fragment("linux/redhat/ifcfg.sh.j2", links=list(links)),
        files=tuple(StepFile.of(name, text) for name, text in texts.items()),
        packages=own_packages(ctx, "ifcfg"),
    )


def _files(link: Link, wanted: Network) -> Iterator[tuple[str, str]]:
    """Name and text of the link's own file, and of one for each further IPv4 address."""
    routes = [route for route in wanted.routes if route.link == link]
    lines = [*_link(link, servers=bool(wanted.nameservers)), *_ipv6(link, routes)]
    addresses = [a for a in link.addresses if isinstance(a, IPv4Interface)]
    lines += [line for address in addresses[:1] for line in _ipv4(address)]
    lines += [f"GATEWAY={route.gateway}" for route in routes if route.gateway.version == 4]
    yield f"ifcfg-{link.name}", _text(lines)
    for number, address in enumerate(addresses[1:], 1):
        alias = f"{link.name}:{number}"
        lines = [f"DEVICE={alias}", f"ONBOOT={_yes(link.connected)}", "ONPARENT=yes", *_ipv4(address)]
        yield f"ifcfg-{alias}", _text(lines)


def _link(link: Link, *, servers: bool) -> Iterator[str]:
    yield f"DEVICE={link.name}"
    yield "TYPE=Ethernet"
    yield f"ONBOOT={_yes(link.connected)}"
    yield "NM_CONTROLLED=no"
    yield f"BOOTPROTO={'dhcp' if link.dhcp else 'none'}"
    if link.dhcp:
        yield "PERSISTENT_DHCLIENT=yes"
    yield f"PEERDNS={_yes(link.dhcp and not servers)}"


def _ipv4(address: IPv4Interface) -> Iterator[str]:
    yield f"IPADDR={address.ip}"
    yield f"NETMASK={address.netmask}"


def _ipv6(link: Link, routes: list[Route]) -> Iterator[str]:
    addresses = link.of_family(6)
    yield "IPV6INIT=yes"
    if addresses:
        first, *others = map(str, addresses)
        yield from ("IPV6_AUTOCONF=no", f"IPV6ADDR={first}")
        if others:
            yield f'IPV6ADDR_SECONDARIES="{" ".join(others)}"'
    for route in routes:
        if route.gateway.version == 6:
            yield f"IPV6_DEFAULTGW={route.gateway}" + (f"%{link.name}" if route.gateway.is_link_local else "")


def _sysctl(wanted: Network) -> Iterator[str]:
    """/etc/sysctl.conf of an old procps, which knows no "-" before a key."""
    yield f"net.ipv4.ip_forward = {int(wanted.forwards)}\n"
    if wanted.forwards:
        yield "net.ipv6.conf.all.forwarding = 1\n"
        yield from (f"net/ipv6/conf/{link.name}/accept_ra = 2\n" for link in wanted.links if link.dhcp)


def _text(lines: list[str]) -> str:
    return HEAD + "".join(f"{line}\n" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
