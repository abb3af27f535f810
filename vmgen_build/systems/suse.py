"""openSUSE. Its writers and bases are not there yet: such a system is checked, and planned to be read."""

from __future__ import annotations

from vmgen_build.systems.model import SYSTEMD_UP, Distribution, Family

_GROUPS = (
    "root bin daemon sys tty disk lp mem kmem wheel cdrom mail man dialout floppy games tape video lock audio users "
    "nobody utmp input kvm render sgx systemd-journal systemd-network messagebus shadow trusted"
)
"""Of the packages system-group-hardware, system-group-wheel and systemd."""

FAMILY = Family(
    name="suse",
    rank=30,
    distributions=(
        Distribution(
            name="opensuse",
            installer="zypper",
            words=("suse", "opensuseleap"),
            fillers=("leap",),
            known={"tumbleweed": "tumbleweed"},
            pattern=r"[0-9]{2}\.[0-9]",
            example="opensuse-15.6",
        ),
    ),
    templates="linux/suse",
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "locale_conf",
        "keyboard": "vconsole_conf",
        "network": "networkmanager",
        "firewall": "firewalld",
        "repositories": "zypp_repos",
        "cleanup": "suse_cleanup",
    },
    groups=frozenset(_GROUPS.split()),
    program_groups={
        "docker": ("docker",),
        "libvirt": ("libvirt", "kvm", "libvirt-daemon"),
        "wireshark": ("wireshark",),
        "postgres": ("postgresql", "postgresql-server"),
        "mysql": ("mysql", "mariadb"),
        "vboxusers": ("virtualbox",),
    },
    admin_group="wheel",
    base_shells=frozenset({"sh", "bash", "false", "true", "nologin", "sync"}),
    up=SYSTEMD_UP,
)
