"""The host name in /etc/hostname, and in /etc/hosts for programs that ask for the name with its domain: hosts(5)."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.model import HostName, Output


def write(wanted: HostName, ctx: PlanContext) -> Output:
    own = f"127.0.0.1\t{names(wanted)}\n::1\t\t{names(wanted)}\n"
    return with_hosts(wanted, f"{own}127.0.0.1\tlocalhost\n::1\t\tlocalhost\n", ctx)


def with_hosts(wanted: HostName, hosts: str, ctx: PlanContext) -> Output:
    """hosts: the text of /etc/hosts."""
    return Output(
        script=ctx.renderer.fragment("linux/etc_hostname.sh.j2"),
        files=(StepFile.of("hostname", f"{wanted.short}\n"), StepFile.of("hosts", hosts)),
        probes=tuple(_probes(wanted, ctx)),
    )


def names(wanted: HostName) -> str:
    """As hosts(5) has them: the full name first."""
    return wanted.full if wanted.full == wanted.short else f"{wanted.full} {wanted.short}"


def _probes(wanted: HostName, ctx: PlanContext) -> Iterator[Probe]:
    full, short, setting = wanted.full, wanted.short, "[config] hostname"
    template = "linux/probes/hostname.sh.j2"
    yield Probe("hostname", setting, ctx.renderer.sh(template, name=short, full=False), short)
    if full != short:
        yield Probe("hostname-full", setting, ctx.renderer.sh(template, name=full, full=True), full)
