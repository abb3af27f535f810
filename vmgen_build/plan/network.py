"""What the guest's network is, in no system's own form: its links, default routes and name servers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.network import Interface, IPAddress, IPInterface

DHCP_WAIT = 15
"""Seconds that a boot waits for a DHCP server; the client then goes on in the background, every DHCP_RETRY seconds."""
DHCP_RETRY = 30
BOOT_WAIT = 10.0
"""Seconds that a probe grants the boot to bring an interface up (IPv6 finds out first whether its address is free)."""


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


@dataclass(frozen=True)
class Network:
    """All that a writer of the setting "network" writes. forwards: whether the guest is a router."""

    links: tuple[Link, ...]
    routes: tuple[Route, ...]
    nameservers: tuple[IPAddress, ...]
    forwards: bool


def network_of(recipe: Recipe) -> Network:
    return Network(links(recipe), routes(recipe), nameservers(recipe), recipe.network.ip_routing)


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


def nameservers(recipe: Recipe) -> tuple[IPAddress, ...]:
    """Of [network] itself, then of its interfaces; each once."""
    own = (section.dns for section in recipe.network.eths.values())
    return tuple(dict.fromkeys(chain(recipe.network.nameservers, *own)))
