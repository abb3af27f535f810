"""The network by systemd-networkd: systemd.network(5), systemd-networkd-wait-online.service(8)."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import StepFile
from vmgen_build.plan.network import DHCP_WAIT, Link, Network, Route
from vmgen_build.plan.writers.model import Output, own_packages
from vmgen_build.plan.writers.netservice import common_files, service_probe

HEAD = "# Written by vmgen-build; systemd.network(5) says more.\n"
WAIT = f"""\
# The boot waits for a network as long as a DHCP server may take.
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout={DHCP_WAIT}
"""


def write(wanted: Network, ctx: PlanContext) -> Output:
    """Name servers that the recipe names stand in /etc/resolv.conf; those of a DHCP server go by way of
    systemd-resolved, since systemd-networkd writes no such file."""
    resolved = not wanted.nameservers and any(link.dhcp for link in wanted.links)
    networks = [StepFile.of(f"50-{link.name}.network", network_text(link, wanted)) for link in wanted.links]
    script = ctx.renderer.fragment(
        "linux/networkd.sh.j2",
        networks=[file.name for file in networks],
        resolved=resolved,
        routing=wanted.forwards,
    )
    return Output(
        script,
        files=(*networks, *common_files(wanted, WAIT)),
        packages=own_packages(ctx, "networkd"),
        probes=(service_probe(ctx, "systemd-networkd.service"),),
    )


def network_text(link: Link, wanted: Network) -> str:
    """One that is not connected has its settings ready for `networkctl up NAME`."""
    match = f"[Match]\nName={link.name}\n"
    alone = "" if link.connected else "\n[Link]\nActivationPolicy=manual\nRequiredForOnline=no\n"
    parts = [HEAD, match, alone, "\n[Network]\n", *_network(link)]
    if link.dhcp and wanted.nameservers:
        parts += ["\n[DHCPv4]\nUseDNS=no\n", "\n[IPv6AcceptRA]\nUseDNS=no\n"]
    parts += [_route(route) for route in wanted.routes if route.link == link]
    return "".join(parts)


def _network(link: Link) -> Iterator[str]:
    """A router's links heed router advertisements only where they are told to."""
    if link.dhcp:
        yield "DHCP=ipv4\nIPv6AcceptRA=yes\n"
    for address in link.addresses:
        yield f"Address={address}\n"


def _route(route: Route) -> str:
    near = any(route.gateway in address.network for address in route.link.addresses)
    return f"\n[Route]\nGateway={route.gateway}\n" + ("" if near else "GatewayOnLink=yes\n")
