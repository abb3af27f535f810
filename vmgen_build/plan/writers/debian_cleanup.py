"""The clean-up of a Debian image: identities, apt's lists and packages, logs; and what its first boot makes anew."""

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
    before="ssh.service ssh.socket",
    after="sshd-keygen.service",
)

OTHERS = (
    FirstBoot(
        "certificate",
        "the self-signed TLS certificate",
        "/usr/sbin/make-ssl-cert generate-default-snakeoil",
        ("/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"),
    ),
    FirstBoot("rndc-key", "the control key of bind", "/usr/sbin/rndc-confgen -a -u bind", ("/etc/bind/rndc.key",)),
    FirstBoot("aliases", "the mail aliases database", "/usr/bin/newaliases", ("/etc/aliases.db",)),
)


def write(wanted: CleanUp, ctx: PlanContext) -> Output:
    source = wanted.sources
    sources = (StepFile.of("sources", source.content),) if source else ()
    script = ctx.renderer.fragment(
        "linux/debian/debian_cleanup.sh.j2",
        sources=source.path if source else "",
        host_keys=HOST_KEYS,
        others=OTHERS,
        own_keys=sorted(path for path in wanted.own if path.startswith("/etc/ssh/ssh_host_")),
    )
    units = (StepFile.of(made.unit, made.text()) for made in (HOST_KEYS, *OTHERS))
    return Output(script, files=(*sources, *units), probes=tuple(_probes(wanted, ctx, sources)))


def _probes(wanted: CleanUp, ctx: PlanContext, sources: tuple[StepFile, ...]) -> Iterator[Probe]:
    for file in sources:
        path = wanted.sources.path if wanted.sources else ""
        script = ctx.renderer.sh("linux/probes/sha256.sh.j2", path=path, sha256=file.sha256)
        yield Probe("package-sources", "the distribution's own package sources", script, expected="as written")
