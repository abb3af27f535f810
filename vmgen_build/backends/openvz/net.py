"""The network of an OpenVZ container: which adapters are venet, which veth, and what each side gets of them.

venet: the host gives the container its addresses and routes to them; inside, vzctl writes the device venet0 into
/etc/network/interfaces anew at each start, and appends interfaces.tail. veth: an Ethernet device between the two; the
container gives itself its addresses, which therefore stand in interfaces.tail (and in interfaces, for as long as vzctl
has nothing to write).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vmgen_build.artifacts.openvz.config import Device
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.plan.network import Link, Route, links, outer_link, routes
from vmgen_build.plan.writers.ifupdown import HEAD, interfaces_text
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.types.network import made_mac

BRIDGE = "vmbr0"
"""What a veth joins where the recipe names no bridge: Proxmox VE's own name for its first."""

HOST_MAC = "FE:FF:FF:FF:FF:FF"
"""Of the host's end: a bridge takes the lowest address of its ports, and must keep its own when this port goes."""

LONGEST = 15
"""Characters of a device's name (IFNAMSIZ)."""

NO_NUMBER = "CTID"
"""Stands for the container's number where the recipe has none."""


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth and its place among the machine's adapters, by which the host's end is named."""

    link: Link
    index: int
    bridge: str
    mac: str

    def host_name(self, number: str) -> str:
        return f"veth{number}.{self.index}"

    def device(self, number: str) -> Device:
        return Device(self.link.name, self.bridge, self.mac.upper(), self.host_name(number), HOST_MAC)


@dataclass(frozen=True, slots=True)
class Net:
    """venet: the links whose addresses the host sets."""

    venet: tuple[Link, ...]
    veth: tuple[Veth, ...]
    routes: tuple[Route, ...]

    def venet_addresses(self) -> list[str]:
        """Those of links that are up at start, without their prefix lengths: the host routes to each by itself."""
        return [str(a.ip) for link in self.venet if link.connected for a in link.addresses]

    def veth_routes(self, veth: Veth) -> tuple[Route, ...]:
        return tuple(r for r in self.routes if r.link == veth.link)


def net_of(recipe: Recipe, number: str) -> Net:
    """number: the container's, or NO_NUMBER. Raises RecipeError for what OpenVZ's devices cannot do."""
    adapters = recipe.hardware.eths
    venet: list[Link] = []
    veth: list[Veth] = []
    for index, link in enumerate(links(recipe)):
        adapter = adapters.get(link.name)
        if adapter is not None and adapter.type == "venet":
            venet.append(link)
            continue
        free = adapter is not None and adapter.type == "hostonly"
        bridge = (adapter.bridge if adapter else None) or ("" if free else BRIDGE)
        mac = (adapter.hw_addr if adapter else None) or made_mac(recipe.name, link.name)
        veth.append(Veth(link, index, bridge, mac))
    net = Net(tuple(venet), tuple(veth), routes(recipe))
    if problems := [*_venet_problems(recipe, net), *_name_problems(recipe, net, number)]:
        raise RecipeError(problems)
    return net


def _venet_problems(recipe: Recipe, net: Net) -> Iterator[Problem]:
    names = {link.name for link in net.venet}
    for link in net.venet:
        section = recipe.network.eths.get(link.name)
        if section is not None and link.dhcp:
            text = "a venet adapter takes no address by dhcp: give it one, or write type = veth for the adapter"
            yield Problem(section.at("type"), f"[network] {link.name}", text, code="venet-dhcp")
    if recipe.network.nat and outer_link(recipe).name in names:
        text = "what a venet adapter sends is routed by the host, and not masqueraded here; write type = veth for it"
        yield Problem(recipe.network.at("nat"), "[network] nat", text, code="venet-nat")


def _name_problems(recipe: Recipe, net: Net, number: str) -> Iterator[Problem]:
    for veth in net.veth:
        if len(name := veth.host_name(number)) > LONGEST:
            text = f"the host's device '{name}' would have more than {LONGEST} characters; give a shorter number"
            yield Problem(recipe.hardware.at("vm_id"), "[hardware] vm_id", text, code="ctid")
            return


def interfaces(net: Net) -> str:
    """/etc/network/interfaces as it lies in the OS template: without the venet, whose stanzas vzctl writes."""
    if not net.venet:
        return interfaces_text([veth.link for veth in net.veth], net.routes)
    return interfaces_text([], []) + "\n" + _stanzas(net)


def tail(net: Net) -> str:
    """/etc/network/interfaces.tail."""
    return HEAD + "# vzctl appends this to the /etc/network/interfaces that it writes.\n\n" + _stanzas(net)


def _stanzas(net: Net) -> str:
    return "\n".join("\n".join(_veth_stanzas(veth.link, net.veth_routes(veth))) for veth in net.veth)


def _veth_stanzas(link: Link, defaults: Sequence[Route]) -> Iterator[str]:
    """A default route replaces the one by venet0, that vzctl's part of the file has set before; `gateway` would find it
    there and fail."""
    head = f"auto {link.name}\n" if link.connected else ""
    texts = [f"iface {link.name} inet dhcp\n"] if link.dhcp else []
    for address in sorted(link.addresses, key=lambda a: a.version):
        method = "inet static" if address.version == 4 else "inet6 static"
        texts.append(f"iface {link.name} {method}\n    address {address}\n")
    if texts:
        texts[-1] += "".join(_route_lines(link, defaults))
    for text in texts:
        yield head + text
        head = ""


def _route_lines(link: Link, defaults: Iterable[Route]) -> Iterator[str]:
    for route in defaults:
        yield f"    up ip -{route.gateway.version} route replace default via {route.gateway} dev {link.name} onlink\n"
