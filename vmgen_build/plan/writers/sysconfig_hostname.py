"""The host name as Red Hat's systems of before systemd have it, in /etc/sysconfig/network, and as later ones do."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers import etc_hostname
from vmgen_build.plan.writers.model import HostName, Output


def write(wanted: HostName, ctx: PlanContext) -> Output:
    script = ctx.renderer.fragment("linux/redhat/sysconfig_hostname.sh.j2", full_name=wanted.short)
    return replace(etc_hostname.write(wanted, ctx), script=script)
