"""openSUSE."""

from __future__ import annotations

from vmgen_build.systems.model import PIN, SYSTEMD_UP, Archive, Distribution, Family, PackageNames, Tried

_GROUPS = (
    "root bin daemon sys tty disk lp mem kmem wheel cdrom mail man dialout floppy games tape video lock audio users "
    "nobody utmp input kvm render sgx systemd-journal systemd-network messagebus shadow trusted"
)
"""Of the packages system-group-hardware, system-group-wheel and systemd."""

_URI = "https://download.opensuse.org"
_HOST_KEYS = (
    "/usr/lib/rpm/gnupg/keys/gpg-pubkey-opensuse.asc",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE",
    "/usr/share/distribution-gpg-keys/opensuse/RPM-GPG-KEY-openSUSE-{version}",
)

_LEAP = Archive(
    name="opensuse",
    uri=_URI,
    suites=(
        "distribution/leap/{version}/repo/oss",
        "update/leap/{version}/oss",
        "update/leap/{version}/sle",
        "update/leap/{version}/backports",
    ),
    host_keys=_HOST_KEYS,
)
"""https://en.opensuse.org/Package_repositories. Its keys are in the package openSUSE-build-key, which rpm imports."""

_TUMBLEWEED = Archive(
    name="opensuse",
    uri=_URI,
    suites=("tumbleweed/repo/oss", "update/tumbleweed"),
    host_keys=_HOST_KEYS,
)

FAMILY = Family(
    name="suse",
    rank=30,
    distributions=(
        Distribution(
            name="opensuse",
            installer="zypper",
            words=("suse", "opensuseleap"),
            fillers=("leap",),
            known={"15.5": "", "15.6": "", "tumbleweed": "tumbleweed"},
            pattern=r"[0-9]{2}\.[0-9]",
            example="opensuse-15.6",
            osinfo={"": "http://opensuse.org/opensuse/{version}"},
            tried=(Tried(versions=("15.6",), arches=("amd64",), how="look-alike", when="2026-11"),),
            bases=dict.fromkeys(("15.5", "15.6", "tumbleweed"), "zypper"),
            rpm_macros={"": {"_dbpath": "/usr/lib/sysimage/rpm", "_db_backend": "ndb"}},
            archives={"tumbleweed": (_TUMBLEWEED,), "": (_LEAP,)},
        ),
    ),
    templates="linux/suse",
    # What scripts call: a container may lack it.
    base_packages=(
        "systemd",
        "ca-certificates-mozilla",
        "findutils",
        "gawk",
        "grep",
        "hostname",
        "iproute2",
        "iputils",
        "procps",
        "sed",
        "shadow",
        "util-linux",
    ),
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "locale_conf",
        "keyboard": "vconsole_conf",
        "network": "networkmanager",
        "firewall": "firewalld",
        "repositories": "repository_files",
        "cleanup": "suse_cleanup",
    },
    setting_packages={
        "localtime_link": ("timezone",),
        "locale_conf": ("glibc-locale",),
        "vconsole_conf": ("kbd", "kbd-legacy"),
        "networkmanager": ("NetworkManager",),
        "firewalld": ("firewalld",),
        "iptables": ("iptables",),
    },
    # Its sudoers(5) asks for root's password by default: "Defaults targetpw".
    sudo_defaults="!targetpw",
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
    shells={
        "zsh": "zsh",
        "fish": "fish",
        "tcsh": "tcsh",
        "csh": "tcsh",
        "ksh": "ksh",
        "mksh": "mksh",
        "dash": "dash",
        "git-shell": "git-core",
    },
    package_names=PackageNames(
        pattern=rf"pattern:[A-Za-z0-9][A-Za-z0-9+._-]*|[A-Za-z0-9][A-Za-z0-9+._-]*{PIN}",
        what="a package's name, or a pattern's",
        write="letters, digits, + - . and _, or a pattern as pattern:devel_basis",
    ),
    package_file=r"\.rpm$",
    arches={"amd64": "x86_64", "i386": "i586", "arm64": "aarch64"},
    up=SYSTEMD_UP,
)
