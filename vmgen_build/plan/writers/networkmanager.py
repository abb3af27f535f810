"""The network by NetworkManager's own files: nm-settings-keyfile(5), NetworkManager.conf(5)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import firewall_of
from vmgen_build.plan.model import StepFile
from vmgen_build.plan.network import DHCP_WAIT, Link, Network, Route
from vmgen_build.plan.writers.firewalld import zone_of
from vmgen_build.plan.writers.model import Output, own_packages
from vmgen_build.plan.writers.netservice import common_files, service_probe

HEAD = "# Written by vmgen-build; nm-settings-keyfile(5) says more.\n"
WAIT = f"""\
# The boot waits for a network as long as a DHCP server may take.
[Service]
Environment=NM_ONLINE_TIMEOUT={DHCP_WAIT}
"""
"""NetworkManager-wait-online.service(8)."""

SPACE = uuid.UUID("7a1c1c2e-9d0f-5b5e-8b53-3c6f2f3d5a10")
"""Made up once: names of profiles get their UUID in it (RFC 9562, version 5)."""


def write(wanted: Network, ctx: PlanContext) -> Output:
    firewall = firewall_of(ctx)
    profiles = [
        StepFile.of(f"{link.name}.nmconnection", _profile(link, wanted, ctx, zone_of(link.name, firewall, ctx)), 0o600)
        for link in wanted.links
    ]
    names = [file.name for file in profiles]
    script = ctx.renderer.fragment("linux/networkmanager.sh.j2", profiles=names, routing=wanted.forwards)
    return Output(
        script,
        files=(*profiles, StepFile.of("vmgen.conf", settings_text(wanted)), *common_files(wanted, WAIT)),
        packages=own_packages(ctx, "networkmanager"),
        probes=(service_probe(ctx, "NetworkManager.service"),),
    )


def settings_text(wanted: Network) -> str:
    """No interface gets a profile by itself. One that is not connected is left alone until its user says
    `nmcli device set NAME managed yes`; the others are managed whatever udev thinks of them."""
    servers = "dns=none" if wanted.nameservers else "rc-manager=file"
    parts = [f"# Written by vmgen-build; NetworkManager.conf(5) says more.\n[main]\nno-auto-default=*\n{servers}\n"]
    parts += [
        f"[device-vmgen-{link.name}]\nmatch-device=interface-name:={link.name}\nmanaged={int(link.connected)}\n"
        for link in wanted.links
    ]
    return "\n".join(parts)


def _profile(link: Link, wanted: Network, ctx: PlanContext, zone: str) -> str:
    identity = uuid.uuid5(SPACE, f"{ctx.recipe.name}/{link.name}")
    lines = [
        f"id={link.name}",
        f"uuid={identity}",
        "type=ethernet",
        f"interface-name={link.name}",
        f"autoconnect={str(link.connected).lower()}",
        "autoconnect-retries=0",
        *([f"zone={zone}"] if zone else []),
    ]
    routes = [route for route in wanted.routes if route.link == link]
    own = bool(wanted.nameservers)
    parts = [_section("connection", lines)]
    parts += [_section(f"ipv{version}", _family(version, link, routes, own)) for version in (4, 6)]
    return HEAD + "\n".join(parts)


def _family(version: int, link: Link, every: list[Route], own_servers: bool) -> Iterator[str]:
    """own_servers: whether the recipe names the name servers, so that none from outside count."""
    addresses = link.of_family(version)
    routes = [route for route in every if route.gateway.version == version]
    yield f"method={_method(version, link, bool(routes))}"
    yield from (f"address{number}={address}" for number, address in enumerate(addresses, 1))
    for route in routes:
        default = "0.0.0.0/0" if version == 4 else "::/0"
        yield f"gateway={route.gateway}" if addresses else f"route1={default},{route.gateway}"
    if version == 4 and link.dhcp:
        yield f"dhcp-timeout={DHCP_WAIT}"
    if own_servers and not addresses:
        yield "ignore-auto-dns=true"


def _method(version: int, link: Link, routed: bool) -> str:
    """IPv6 takes what routers advertise where the recipe says nothing of it, as the kernel does by itself."""
    if link.of_family(version):
        return "manual"
    if version == 4:
        return "auto" if link.dhcp else "disabled"
    return "link-local" if routed else "auto"


def _section(name: str, lines: list[str] | Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in (f"[{name}]", *lines))
