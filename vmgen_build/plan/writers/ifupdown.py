"""The network by ifupdown: the files that Debian, OpenVZ and Proxmox edit. Formats: interfaces(5), dhclient.conf(5),
dhcpcd.conf(5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import StepFile
from vmgen_build.plan.network import DHCP_RETRY, DHCP_WAIT, Link, Network, Route
from vmgen_build.plan.routing import SYSCTL, sysctl_text
from vmgen_build.plan.writers.model import Output

DHCPCD = "dhcpcd-base"
"""The DHCP client of systems that have no isc-dhcp-client any more."""

HEAD = "# Written by vmgen-build; interfaces(5) says more.\n"
KEEP_RESOLV_CONF = """\
# The recipe names the name servers: dhclient-script(8) leaves /etc/resolv.conf alone.
make_resolv_conf() { :; }
"""


def write(wanted: Network, ctx: PlanContext) -> Output:
    dhcp = any(link.dhcp for link in wanted.links)
    files = {
        "interfaces": interfaces_text(wanted.links, wanted.routes),
        "resolv.conf": "".join(f"nameserver {s}\n" for s in wanted.nameservers),
    }
    if dhcp and DHCPCD in ctx.system.base_packages:
        keep = "nohook resolv.conf\n" if wanted.nameservers else ""
        files["dhcpcd.conf"] = f"\ntimeout {DHCP_WAIT}\n{keep}"
    elif dhcp:
        files["dhclient.conf"] = f"\ntimeout {DHCP_WAIT};\nretry {DHCP_RETRY};\n"
        if wanted.nameservers:
            files["keep-resolv-conf"] = KEEP_RESOLV_CONF
    if wanted.forwards:
        files[SYSCTL] = sysctl_text(wanted.links)
    script = ctx.renderer.fragment(
        "linux/debian/ifupdown.sh.j2",
        dhcp="dhclient.conf" in files,
        dhcpcd="dhcpcd.conf" in files,
        keep_resolv_conf="keep-resolv-conf" in files,
        routing=SYSCTL in files,
    )
    return Output(script, files=tuple(StepFile.of(name, text) for name, text in files.items()))


def interfaces_text(every: Iterable[Link], defaults: Iterable[Route]) -> str:
    """/etc/network/interfaces. Each address has a stanza of its own; a gateway stands in the first of its family, or as
    a command in the last one where the interface has no address of that family."""
    routes = tuple(defaults)
    parts = [HEAD + "source /etc/network/interfaces.d/*\n", "auto lo\niface lo inet loopback\n"]
    for link in every:
        own = [r for r in routes if r.link == link]
        parts.append((f"auto {link.name}\n" if link.connected else "") + "".join(_stanzas(link, own)))
    return "\n".join(parts)


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
