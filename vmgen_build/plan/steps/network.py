"""Interfaces, gateways, name servers and forwarding, by the family's writer; and what to ask of the booted guest."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.network import BOOT_WAIT, DHCP_WAIT, Link, Network, network_of
from vmgen_build.plan.writers import NETWORK, packages_for, whole_script, write

ORDER = 320


def needs(ctx: PlanContext) -> Iterator[str]:
    yield from packages_for(NETWORK, network_of(ctx.recipe), ctx)


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    network = network_of(ctx.recipe)
    output = write(NETWORK, network, ctx)
    if isinstance(output, LeftOut):
        yield output
        return
    yield Step(
        name="network",
        title="network",
        script=whole_script(output, ctx),
        files=output.files,
        probes=(*_probes(ctx, network), *output.probes),
    )


def _probes(ctx: PlanContext, network: Network) -> Iterator[Probe]:
    sh = ctx.renderer.sh
    for link in network.links:
        yield from _link_probes(ctx, link)
    for route in network.routes:
        if route.link.connected:
            want = f"via {route.gateway} dev {route.link.name}"
            script = sh("linux/probes/default_route.sh.j2", version=route.gateway.version, want=want)
            name = f"gateway-{route.link.name}-{route.gateway}"
            yield Probe(name, "[network] gateway", script, f"default {want}", retry=BOOT_WAIT)
    if servers := network.nameservers:
        script = sh("linux/probes/nameservers.sh.j2", servers=" ".join(map(str, servers)))
        yield Probe("nameservers", "[network] nameservers", script, ", ".join(map(str, servers)))
    if network.forwards:
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
