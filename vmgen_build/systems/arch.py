"""Arch Linux. Its writers and bases are not there yet: such a system is checked, and planned to be read."""

from __future__ import annotations

from vmgen_build.systems.model import SYSTEMD_UP, Distribution, Family

_GROUPS = (
    "root sys mem ftp mail log smmsp proc games lock network floppy scanner power nobody adm wheel utmp audio disk "
    "input kmem kvm lp optical render sgx storage tty uucp video users rfkill dbus systemd-journal systemd-network"
)
"""Of the packages filesystem and systemd."""

FAMILY = Family(
    name="arch",
    rank=40,
    distributions=(
        Distribution(
            name="arch",
            installer="pacman",
            words=("archlinux",),
            rolling="rolling",
            known={"rolling": "rolling"},
            example="arch",
        ),
    ),
    templates="linux/arch",
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "locale_conf",
        "keyboard": "vconsole_conf",
        "network": "networkd",
        "firewall": "nftables",
        "repositories": "pacman_conf",
        "cleanup": "arch_cleanup",
    },
    groups=frozenset(_GROUPS.split()),
    program_groups={
        "docker": ("docker",),
        "libvirt": ("libvirt", "kvm"),
        "wireshark": ("wireshark", "wireshark-cli", "wireshark-qt"),
        "cups": ("cups",),
        "postgres": ("postgresql",),
        "mysql": ("mysql", "mariadb"),
        "vboxusers": ("virtualbox",),
    },
    admin_group="wheel",
    base_shells=frozenset({"sh", "bash", "false", "true", "nologin", "sync"}),
    up=SYSTEMD_UP,
)
