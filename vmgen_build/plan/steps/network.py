"""Interfaces, gateways, name servers and forwarding, by ifupdown: the files that Debian, OpenVZ and Proxmox edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.network import Interface, IPAddress, IPInterface

ORDER = 320

HEAD = "# Written by vmgen-build; interfaces(5) says more.\n"
DHCP_WAIT = 15
"""Seconds that a boot waits for a DHCP server; dhclient(8) then goes on in the background, every DHCP_RETRY seconds."""
DHCP_RETRY = 30
BOOT_WAIT = 10.0
"""Seconds that a probe grants the boot to bring an interface up (IPv6 finds out first whether its address is free)."""
KEEP_RESOLV_CONF = """\
# The recipe names the name servers: dhclient-script(8) leaves /etc/resolv.conf alone.
make_resolv_conf() { :; }
"""


@dataclass(frozen=True)
class Link:
    """A network interface of the guest. connected: brought up at boot."""

    name: str
    connected: bool
    dhcp: bool
    addresses: tuple[IPInterface, ...] = ()

    def of_family(self, version: int) -> tuple[IPInterface, ...]:
        return tuple(a for a in self.addresses if a.version == version)


@dataclass(frozen=True)
class Route:
    """A default route."""

    link: Link
    gateway: IPAddress


def links(recipe: Recipe) -> tuple[Link, ...]:
    """The guest's interfaces: those of [hardware] eths, then those that stand in [network] alone; else eth0.

    One without a [network] section of its own takes its address by DHCP.
    """
    adapters, sections = recipe.hardware.eths, recipe.network.eths
    names = dict.fromkeys((*adapters, *sections)) or {"eth0": None}
    return tuple(
        _link(name, adapters[name].connected if name in adapters else True, sections.get(name)) for name in names
    )


def routes(recipe: Recipe) -> tuple[Route, ...]:
    """The default routes, of each family at most one. A gateway that no static interface reaches has none."""
    every = links(recipe)
    wanted = [Route(link, g) for g in recipe.network.gateway if (link := _link_towards(every, g))]
    for link in every:
        section = recipe.network.eths.get(link.name)
        wanted += [Route(link, g) for g in (section.gateway if section else ())]
    first: dict[int, Route] = {}
    for route in wanted:
        first.setdefault(route.gateway.version, route)
    return tuple(first.values())


def outer_link(recipe: Recipe) -> Link:
    """The interface that leads outside: the one with the IPv4 default gateway, else by DHCP, else the first."""
    found = [r.link for r in routes(recipe) if r.gateway.version == 4]
    every = [link for link in links(recipe) if link.connected] or list(links(recipe))
    return [*found, *(link for link in every if link.dhcp), *every][0]


def steps(ctx: PlanContext) -> Iterator[Step]:
    recipe = ctx.recipe
    every, servers = links(recipe), _nameservers(recipe)
    dhcp = any(link.dhcp for link in every)
    files = {
        "interfaces": interfaces_text(every, routes(recipe)),
        "resolv.conf": "".join(f"nameserver {s}\n" for s in servers),
    }
    if dhcp:
        files["dhclient.conf"] = f"\ntimeout {DHCP_WAIT};\nretry {DHCP_RETRY};\n"
    if dhcp and servers:
        files["keep-resolv-conf"] = KEEP_RESOLV_CONF
    if recipe.network.ip_routing:
        files["sysctl.conf"] = sysctl_text(every)
    yield Step(
        name="network",
        title="network",
        script=ctx.renderer.sh(
            "linux/network.sh.j2",
            dhcp="dhclient.conf" in files,
            keep_resolv_conf="keep-resolv-conf" in files,
            routing="sysctl.conf" in files,
        ),
        files=tuple(StepFile.of(name, text) for name, text in files.items()),
        probes=tuple(_probes(ctx, every, servers)),
    )


def interfaces_text(every: Iterable[Link], defaults: Iterable[Route]) -> str:
    """/etc/network/interfaces. Each address has a stanza of its own; a gateway stands in the first of its family, or as
    a command in the last one where the interface has no address of that family."""
    parts = [HEAD + "source /etc/network/interfaces.d/*\n", "auto lo\niface lo inet loopback\n"]
    for link in every:
        own = [r for r in defaults if r.link == link]
        parts.append((f"auto {link.name}\n" if link.connected else "") + "".join(_stanzas(link, own)))
    return "\n".join(parts)


def sysctl_text(every: Iterable[Link]) -> str:
    """A router heeds no router advertisements unless accept_ra is 2 (the kernel's ip-sysctl.rst)."""
    lines = ["net.ipv4.ip_forward = 1", "-net.ipv6.conf.all.forwarding = 1"]
    lines += [f"-net/ipv6/conf/{link.name}/accept_ra = 2" for link in every if link.dhcp]
    return "".join(f"{line}\n" for line in lines)


def _link(name: str, connected: bool, section: Interface | None) -> Link:
    if section is None:
        return Link(name, connected, dhcp=True)
    return Link(name, connected, section.type == "dhcp" or not section.address, section.address)


def _link_towards(every: tuple[Link, ...], gateway: IPAddress) -> Link | None:
    """The static interface in whose network the gateway lies; a link-local one lies in all of them."""
    static = [link for link in every if link.addresses]
    exact = [link for link in static if any(gateway in a.network for a in link.addresses)]
    same = [link for link in static if link.of_family(gateway.version)]
    return next(iter((*exact, *same, *static)), None)


def _stanzas(link: Link, defaults: list[Route]) -> Iterator[str]:
    if link.dhcp:
        yield f"iface {link.name} inet dhcp\n"
    waiting = {route.gateway.version: route for route in defaults}
    for address in sorted(link.addresses, key=lambda a: a.version):
        method = "inet static" if address.version == 4 else "inet6 static"
        yield f"iface {link.name} {method}\n    address {address}\n"
        if route := waiting.pop(address.version, None):
            yield f"    gateway {route.gateway}\n"
    for version, route in waiting.items():
        yield f"    up ip -{version} route replace default via {route.gateway} dev {link.name} onlink\n"


def _nameservers(recipe: Recipe) -> tuple[IPAddress, ...]:
    own = (section.dns for section in recipe.network.eths.values())
    return tuple(dict.fromkeys(chain(recipe.network.nameservers, *own)))


def _probes(ctx: PlanContext, every: Iterable[Link], servers: tuple[IPAddress, ...]) -> Iterator[Probe]:
    sh = ctx.renderer.sh
    for link in every:
        yield from _link_probes(ctx, link)
    for route in routes(ctx.recipe):
        if route.link.connected:
            want = f"via {route.gateway} dev {route.link.name}"
            script = sh("linux/probes/default_route.sh.j2", version=route.gateway.version, want=want)
            name = f"gateway-{route.link.name}-{route.gateway}"
            yield Probe(name, "[network] gateway", script, f"default {want}", retry=BOOT_WAIT)
    if servers:
        script = sh("linux/probes/nameservers.sh.j2", servers=" ".join(map(str, servers)))
        yield Probe("nameservers", "[network] nameservers", script, ", ".join(map(str, servers)))
    if ctx.recipe.network.ip_routing:
        script = sh("linux/probes/forwarding.sh.j2")
        yield Probe("ip-routing", "[network] ip_routing", script, "forwarding 1")


def _link_probes(ctx: PlanContext, link: Link) -> Iterator[Probe]:
    sh, setting = ctx.renderer.sh, f"[network] {link.name}"
    if not link.connected:
        script = sh("linux/probes/link_down.sh.j2", link=link.name)
        yield Probe(f"{link.name}-down", f"[hardware] {link.name}: connected", script, "down")
        return
    for address in link.addresses:
        script = sh("linux/probes/address.sh.j2", link=link.name, address=str(address))
        yield Probe(f"{link.name}-{address.ip}", f"{setting}: address", script, str(address), retry=BOOT_WAIT)
    if link.dhcp:
        script = sh("linux/probes/lease.sh.j2", link=link.name)
        yield Probe(f"{link.name}-dhcp", f"{setting}: dhcp", script, "an address", retry=DHCP_WAIT + BOOT_WAIT)
