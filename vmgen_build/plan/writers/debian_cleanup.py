"""The clean-up of a Debian image: identities, apt's lists and packages, logs; and what its first boot makes anew."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firstboot import FirstBoot
from vmgen_build.plan.writers.cleaning import clean_up
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
    return clean_up(wanted, ctx, "linux/debian/debian_cleanup.sh.j2", (HOST_KEYS, *OTHERS), others=OTHERS)
