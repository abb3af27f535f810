"""The last step of every image: what belongs to one machine, or to the build, goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.installers import installer_for
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.steps.files import destination

ORDER = 900


@dataclass(frozen=True)
class _Made:
    """What no two machines may share, or no two builds: it goes from the image, and the first boot makes it again.

    name: of the unit, after "vmgen-". maker: the program that the unit runs, with its arguments. paths: what it makes;
    the unit runs where the first of them is missing. before: units that need it; systemd.unit(5).
    """

    name: str
    description: str
    maker: str
    paths: tuple[str, ...]
    before: str = "network.target"
    after: str = ""

    @property
    def unit(self) -> str:
        return f"vmgen-{self.name}.service"

    @property
    def program(self) -> str:
        return self.maker.partition(" ")[0]

    def text(self) -> str:
        glob = "Glob" if "*" in self.paths[0] else ""
        return (
            "[Unit]\n"
            f"Description=Make {self.description} of this machine\n"
            f"ConditionPathExists{glob}=!{self.paths[0]}\n"
            f"Before={self.before}\n"
            + (f"After={self.after}\n" if self.after else "")
            + f"\n[Service]\nType=oneshot\nExecStart={self.maker}\n\n[Install]\nWantedBy=multi-user.target\n"
        )


HOST_KEYS = _Made(
    "ssh-hostkeys",
    "the SSH host keys",
    "/usr/bin/ssh-keygen -A",
    ("/etc/ssh/ssh_host_*_key",),
    before="ssh.service ssh.socket",
    after="sshd-keygen.service",
)

OTHERS = (
    _Made(
        "certificate",
        "the self-signed TLS certificate",
        "/usr/sbin/make-ssl-cert generate-default-snakeoil",
        ("/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"),
    ),
    _Made("rndc-key", "the control key of bind", "/usr/sbin/rndc-confgen -a -u bind", ("/etc/bind/rndc.key",)),
    _Made("aliases", "the mail aliases database", "/usr/bin/newaliases", ("/etc/aliases.db",)),
)


def steps(ctx: PlanContext) -> Iterator[Step]:
    path, text = installer_for(ctx.system).canonical_sources(ctx.system)
    own = {destination(file) for file in ctx.recipe.config.files.values()}
    ours = path not in own
    sources = (StepFile.of("sources", text),) if ours else ()
    yield Step(
        name="generalise",
        title="clean-up",
        script=ctx.renderer.sh(
            "linux/generalise.sh.j2",
            sources=path if ours else "",
            host_keys=HOST_KEYS,
            others=OTHERS,
            own_keys=sorted(dest for dest in own if dest.startswith("/etc/ssh/ssh_host_")),
        ),
        files=(
            *sources,
            *(StepFile.of(made.unit, made.text()) for made in (HOST_KEYS, *OTHERS)),
        ),
        probes=tuple(_probes(ctx, path, sources)),
    )


def _probes(ctx: PlanContext, path: str, sources: tuple[StepFile, ...]) -> Iterator[Probe]:
    sh = ctx.renderer.sh
    yield Probe(
        "machine-id", "first boot: machine id", sh("linux/probes/machine_id.sh.j2"), expected="32 digits", retry=10
    )
    yield Probe(
        "ssh-hostkeys",
        "first boot: SSH host keys",
        sh("linux/probes/ssh_hostkeys.sh.j2"),
        expected="made by this machine",
        retry=20,
    )
    for file in sources:
        script = sh("linux/probes/sha256.sh.j2", path=path, sha256=file.sha256)
        yield Probe("package-sources", "the distribution's own package sources", script, expected="as written")
