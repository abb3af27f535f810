"""Fedora, Red Hat Enterprise Linux and their relatives. Their writers and bases are not there yet: such a system is
checked, and planned to be read."""

from __future__ import annotations

from vmgen_build.systems.model import SYSTEMD_UP, Distribution, Family

_RELEASE = r"[0-9]{1,2}(\.[0-9]{1,2})?"

_GROUPS = (
    "root bin daemon sys adm tty disk lp mem kmem wheel cdrom mail man dialout floppy games tape video ftp lock audio "
    "users nobody utmp input kvm render sgx systemd-journal systemd-network dbus"
)
"""Of the packages setup (uidgid) and systemd (sysusers.d)."""

FAMILY = Family(
    name="redhat",
    rank=20,
    distributions=(
        Distribution(
            name="fedora", installer="dnf", pattern=r"[0-9]{1,2}", example="fedora-42", old=22, old_installer="yum"
        ),
        Distribution(
            name="centos",
            installer="dnf",
            pattern=_RELEASE,
            example="centos-9",
            old=8,
            old_installer="yum",
            relative="fedora",
        ),
        Distribution(
            name="rhel",
            installer="dnf",
            words=("redhat",),
            pattern=_RELEASE,
            example="rhel-9",
            old=8,
            old_installer="yum",
            relative="fedora",
        ),
        Distribution(
            name="rocky",
            installer="dnf",
            words=("rockylinux",),
            pattern=_RELEASE,
            example="rocky-9",
            relative="fedora",
        ),
        Distribution(
            name="almalinux",
            installer="dnf",
            words=("alma",),
            pattern=_RELEASE,
            example="almalinux-9",
            relative="fedora",
        ),
        Distribution(
            name="scientific",
            installer="yum",
            words=("sl",),
            pattern=_RELEASE,
            example="scientific-6",
            relative="fedora",
        ),
    ),
    templates="linux/redhat",
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "locale_conf",
        "keyboard": "vconsole_conf",
        "network": "networkmanager",
        "firewall": "firewalld",
        "repositories": "yum_repos",
        "cleanup": "redhat_cleanup",
    },
    groups=frozenset(_GROUPS.split()),
    program_groups={
        "docker": ("docker", "moby-engine", "docker-ce"),
        "libvirt": ("libvirt", "kvm", "libvirt-daemon"),
        "wireshark": ("wireshark", "wireshark-cli"),
        "postgres": ("postgresql", "postgresql-server"),
        "mysql": ("mysql", "mariadb", "mariadb-server", "mysql-server", "community-mysql-server"),
        "vboxusers": ("virtualbox", "VirtualBox"),
    },
    admin_group="wheel",
    base_shells=frozenset({"sh", "bash", "false", "true", "nologin", "sync"}),
    up=SYSTEMD_UP,
)
