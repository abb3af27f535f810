"""The host name as Debian's installer writes it: with an address of its own in /etc/hosts."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.etc_hostname import names, with_hosts
from vmgen_build.plan.writers.model import HostName, Output


def write(wanted: HostName, ctx: PlanContext) -> Output:
    hosts = (
        "127.0.0.1\tlocalhost\n"
        f"127.0.1.1\t{names(wanted)}\n"
        "\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n"
    )
    return with_hosts(wanted, hosts, ctx)
