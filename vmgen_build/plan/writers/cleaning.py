"""What the writers of clean-ups share."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firstboot import FirstBoot
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.model import CleanUp, Output

HOST_KEYS = FirstBoot(
    "ssh-hostkeys",
    "the SSH host keys",
    "/usr/bin/ssh-keygen -A",
    ("/etc/ssh/ssh_host_*_key",),
    before="sshd.service sshd.socket ssh.service ssh.socket",
)
"""Of systems whose SSH server mostly makes its keys by itself."""


def clean_up(
    wanted: CleanUp, ctx: PlanContext, template: str, units: tuple[FirstBoot, ...] = (HOST_KEYS,), **values: object
) -> Output:
    """units: of the first boot; the first one makes the SSH host keys. values: what the template takes beside."""
    source = wanted.sources
    sources = (StepFile.of("sources", source.content),) if source else ()
    script = ctx.renderer.fragment(
        template,
        sources=source.path if source else "",
        host_keys=units[0],
        own_keys=sorted(path for path in wanted.own if path.startswith("/etc/ssh/ssh_host_")),
        **values,
    )
    files = (*sources, *(StepFile.of(made.unit, made.text()) for made in units))
    return Output(script, files=files, probes=tuple(_probes(wanted, ctx, sources)))


def _probes(wanted: CleanUp, ctx: PlanContext, sources: tuple[StepFile, ...]) -> Iterator[Probe]:
    for file in sources:
        path = wanted.sources.path if wanted.sources else ""
        script = ctx.renderer.sh("linux/probes/sha256.sh.j2", path=path, sha256=file.sha256)
        yield Probe("package-sources", "the distribution's own package sources", script, expected="as written")
