"""What makes the guest a router: sysctl.d(5)."""

from __future__ import annotations

from collections.abc import Iterable

from vmgen_build.plan.network import Link

SYSCTL = "sysctl.conf"
"""Name of the file among a step's own."""


def sysctl_text(every: Iterable[Link]) -> str:
    """A router heeds no router advertisements unless accept_ra is 2 (the kernel's ip-sysctl.rst)."""
    lines = ["net.ipv4.ip_forward = 1", "-net.ipv6.conf.all.forwarding = 1"]
    lines += [f"-net/ipv6/conf/{link.name}/accept_ra = 2" for link in every if link.dhcp]
    return "".join(f"{line}\n" for line in lines)
