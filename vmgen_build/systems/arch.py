"""Arch Linux."""

from __future__ import annotations

from vmgen_build.systems.model import PIN, SYSTEMD_UP, Archive, Distribution, Family, PackageNames, Tried

_GROUPS = (
    "root sys mem ftp mail log smmsp proc games lock network floppy scanner power nobody adm wheel utmp audio disk "
    "input kmem kvm lp optical render sgx storage tty uucp video users rfkill dbus systemd-journal systemd-network"
)
"""Of the packages filesystem and systemd."""

_ARCHIVE = Archive(
    name="archlinux",
    uri="https://geo.mirror.pkgbuild.com",
    suites=("core/os/{arch}", "extra/os/{arch}"),
    host_keys=("/usr/share/pacman/keyrings/archlinux.gpg", "/usr/share/keyrings/archlinux.gpg"),
)
"""https://wiki.archlinux.org/title/Mirrors"""

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
            osinfo={"": "http://archlinux.org/archlinux/rolling"},
            tried=(Tried(versions=("rolling",), arches=("amd64",), how="look-alike", when="2026-11"),),
            bases={"rolling": "pacstrap"},
            partial={
                "-i386": "Arch Linux has had no i386 since 2017",
                "-arm64": "Arch Linux ARM is a distribution of its own",
            },
            archives={"": (_ARCHIVE,)},
        ),
    ),
    templates="linux/arch",
    base_packages=("base", "systemd-sysvcompat", "ca-certificates", "inetutils", "iproute2", "iputils", "procps-ng"),
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "arch_locale",
        "keyboard": "vconsole_conf",
        "network": "networkd",
        "firewall": "iptables_service",
        "repositories": "repository_files",
        "cleanup": "arch_cleanup",
    },
    # systemd brings systemd-networkd and systemd-resolved, glibc brings locale-gen.
    setting_packages={
        "localtime_link": ("tzdata",),
        "vconsole_conf": ("kbd",),
        "iptables_service": ("iptables",),
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
    shells={
        "zsh": "zsh",
        "fish": "fish",
        "tcsh": "tcsh",
        "csh": "tcsh",
        "mksh": "mksh",
        "dash": "dash",
        "git-shell": "git",
    },
    # PKGBUILD(5), pkgname.
    package_names=PackageNames(
        pattern=rf"[a-z0-9@][a-z0-9@._+-]*{PIN}",
        what="the name of an Arch package or group",
        write="lower-case letters, digits, @ . _ + and -",
    ),
    package_file=r"\.pkg\.tar(\.[a-z0-9]+)?$",
    arches={"amd64": "x86_64", "arm64": "aarch64"},
    up=SYSTEMD_UP,
)
