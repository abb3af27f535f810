"""What the writers share that set a network by a service of systemd's."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.network import Network
from vmgen_build.plan.routing import SYSCTL, sysctl_text


def common_files(wanted: Network, wait: str) -> Iterator[StepFile]:
    """Beside the service's own. wait: a drop-in of the unit that the boot waits for."""
    yield StepFile.of("wait.conf", wait)
    yield StepFile.of("resolv.conf", "".join(f"nameserver {s}\n" for s in wanted.nameservers))
    if wanted.forwards:
        yield StepFile.of(SYSCTL, sysctl_text(wanted.links))


def service_probe(ctx: PlanContext, unit: str) -> Probe:
    """Whether the service runs."""
    active = ctx.renderer.sh("linux/probes/unit.sh.j2", state="is-active", unit=unit)
    return Probe("network-service", "[network]", active, "active")
