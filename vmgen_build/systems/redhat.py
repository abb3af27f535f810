"""Fedora, Red Hat Enterprise Linux and their relatives."""

from __future__ import annotations

from vmgen_build.systems.model import (
    ANY_INIT_UP,
    PIN,
    SYSTEMD_UP,
    Archive,
    Distribution,
    Family,
    PackageNames,
    Tried,
    WholeMachine,
    grub_loaders,
)

_RELEASE = r"[0-9]{1,2}(\.[0-9]{1,2})?"

_GROUPS = (
    "root bin daemon sys adm tty disk lp mem kmem wheel cdrom mail man dialout floppy games tape video ftp lock audio "
    "users nobody utmp input kvm render sgx systemd-journal systemd-network dbus"
)
"""Of the packages setup (uidgid) and systemd (sysusers.d)."""

_OF_FEDORA = {"5": "6", "6": "12", "7": "19", "8": "28", "9": "34", "10": "40"}
"""Release of Red Hat Enterprise Linux -> the Fedora that it was made from."""

_OF_RHEL = {version: version for version in _OF_FEDORA}

_KEYS = "/etc/pki/rpm-gpg/RPM-GPG-KEY"
_SHARED = "/usr/share/distribution-gpg-keys"
"""Where the package distribution-gpg-keys puts the keys of others."""

_SYSIMAGE = {"_dbpath": "/usr/lib/sysimage/rpm"}
_VAR = {"_dbpath": "/var/lib/rpm"}
"""rpm's database: it moved with Fedora 36 (https://fedoraproject.org/wiki/Changes/RelocateRPMToUsr)."""

_BUILT = dict.fromkeys(("9", "10"), "dnf")
"""Releases of Red Hat's relatives whose base dnf of another host makes: rpm of 8 reads Berkeley's databases alone."""

_FEDORA = Archive(
    name="fedora",
    uri="https://dl.fedoraproject.org/pub/fedora/linux",
    suites=("releases/{version}/Everything/{arch}/os", "updates/{version}/Everything/{arch}"),
    keyring=_KEYS + "-fedora-{version}-{arch}",
    host_keys=(_SHARED + "/fedora/RPM-GPG-KEY-fedora-{version}-primary",),
)
"""https://docs.fedoraproject.org/en-US/quick-docs/fedora-repositories/"""

_FEDORAS = tuple(str(version) for version in range(38, 46))
"""Those that a build takes packages of by itself; an older one's lie where its own repositories say."""


def _stream(key: str) -> tuple[Archive, ...]:
    """https://mirror.stream.centos.org"""
    suites = ("{major}-stream/BaseOS/{arch}/os", "{major}-stream/AppStream/{arch}/os")
    uri = "https://mirror.stream.centos.org"
    host_keys = (f"{_SHARED}/centos/RPM-GPG-KEY{key}", f"{_SHARED}/centos/RPM-GPG-KEY-CentOS-Official")
    return (Archive(name="centos-stream", uri=uri, suites=suites, keyring=_KEYS + key, host_keys=host_keys),)


def _rebuilt(name: str, uri: str, key: str) -> tuple[Archive, ...]:
    """Of a distribution that is built of Red Hat's sources."""
    suites = ("{version}/BaseOS/{arch}/os", "{version}/AppStream/{arch}/os")
    host_keys = (f"{_SHARED}/{name.replace('almalinux', 'alma')}/RPM-GPG-KEY{key}",)
    return (Archive(name=name, uri=uri, suites=suites, keyring=_KEYS + key, host_keys=host_keys),)


_ROCKY = "https://dl.rockylinux.org/pub/rocky"
_ALMA = "https://repo.almalinux.org/almalinux"

_PACKAGES = PackageNames(
    pattern=rf"@\^?[A-Za-z0-9][A-Za-z0-9_-]*|[A-Za-z0-9][A-Za-z0-9+._-]*(\.(x86_64|i686|aarch64|noarch))?{PIN}",
    what="a package's name, or a group's",
    write="letters, digits, + - . and _, or a group's id as @development-tools",
)

_APART = tuple(f"sysconfig_iptables:{system}-6" for system in ("centos", "rhel", "scientific")) + tuple(
    f"sysconfig_iptables:fedora-{version}" for version in range(10, 16)
)
"""Where ip6tables is a package of its own."""

_DRACUT = """\
# Written by vmgen-build: dracut.conf(5). The machine may get other disk controllers than those that it was made with.
hostonly="no"
dracut_rescue_image="no"
"""

_DEFAULT_GRUB = """\
# Written by vmgen-build. grub2-mkconfig(8) makes /boot/grub2/grub.cfg from it: run it after a change.
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR={distributor}
GRUB_CMDLINE_LINUX="{consoles}"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_RECOVERY=true
GRUB_DISABLE_OS_PROBER=true
GRUB_ENABLE_BLSCFG=true
"""

_MACHINE = WholeMachine(
    packages=("dracut", "e2fsprogs", "grub2-tools", "kernel-modules", "kmod", "systemd-udev", "util-linux"),
    kernels={"amd64": "kernel-core"},
    # kernel-install(8) keeps to /etc/kernel/entry-token since systemd 251.
    since={"fedora": 38, "centos": 9, "rhel": 9, "rocky": 9, "almalinux": 9, "scientific": 0},
    grub="/boot/grub2",
    initrd="initramfs.img",
    entries="loader/entries",
    loaders=grub_loaders("grub2-pc-modules", "grub2-efi-x64-modules", "/boot/grub2"),
    file_systems={"btrfs": "btrfs-progs", "xfs": "xfsprogs", "vfat": "dosfstools", "ntfs": "ntfs-3g"},
    screen_keyboard=(),
    kernel_files={"entry-token": "vmgen\n"},
    boot_files={
        "dracut.conf": _DRACUT,
        "default-grub": _DEFAULT_GRUB,
        "cmdline": "{arguments}\n",
    },
    initramfs_inputs=(
        *("/etc/dracut.conf", "/etc/dracut.conf.d/", "/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/udev/"),
        *("/etc/systemd/network/", "/etc/fstab", "/etc/crypttab", "/etc/lvm/", "/etc/vconsole.conf"),
    ),
    before_network=("NetworkManager.service", "network-pre.target"),
    tools={"vmware": ("open-vm-tools", ("vmtoolsd.service",)), "kvm": ("qemu-guest-agent", ())},
)
"""GRUB is made without the signature that Secure Boot asks for."""

FAMILY = Family(
    name="redhat",
    rank=20,
    distributions=(
        Distribution(
            name="fedora",
            installer="dnf",
            pattern=r"[0-9]{1,2}",
            example="fedora-42",
            osinfo={"": "http://fedoraproject.org/fedora/{version}"},
            old=22,
            old_installer="yum",
            known=dict.fromkeys(("14", *_FEDORAS), ""),
            tried=(
                Tried(versions=("14",), arches=("i386",), how="look-alike", when="2026-11"),
                Tried(versions=("42",), arches=("amd64",), how="look-alike", when="2026-11"),
            ),
            archives=dict.fromkeys(_FEDORAS, (_FEDORA,)),
            bases=dict.fromkeys(_FEDORAS, "dnf"),
            rpm_macros={"": _SYSIMAGE},
        ),
        Distribution(
            name="centos",
            installer="dnf",
            pattern=_RELEASE,
            example="centos-9",
            osinfo={"7": "http://centos.org/centos/7.0", "": "http://centos.org/centos-stream/{version}"},
            known=dict.fromkeys(("7", "9", "10"), ""),
            bases=_BUILT,
            rpm_macros={"9": _VAR, "": _SYSIMAGE},
            archives={"9": _stream("-centosofficial"), "10": _stream("-centosofficial-SHA256")},
            old=8,
            old_installer="yum",
            relative="rhel",
            relative_versions=_OF_RHEL,
        ),
        Distribution(
            name="rhel",
            installer="dnf",
            words=("redhat",),
            pattern=_RELEASE,
            example="rhel-9",
            osinfo={"": "http://redhat.com/rhel/{version}-unknown"},
            known=dict.fromkeys(("7", "8", "9", "10"), ""),
            old=8,
            old_installer="yum",
            relative="fedora",
            relative_versions=_OF_FEDORA,
        ),
        Distribution(
            name="rocky",
            installer="dnf",
            words=("rockylinux",),
            pattern=_RELEASE,
            example="rocky-9",
            osinfo={"": "http://rockylinux.org/rocky/{version}"},
            known=dict.fromkeys(("8", "9", "10"), ""),
            bases=_BUILT,
            rpm_macros={"9": _VAR, "": _SYSIMAGE},
            archives={
                "8": _rebuilt("rocky", _ROCKY, "-rockyofficial"),
                "": _rebuilt("rocky", _ROCKY, "-Rocky-{major}"),
            },
            relative="rhel",
            relative_versions=_OF_RHEL,
        ),
        Distribution(
            name="almalinux",
            installer="dnf",
            words=("alma",),
            pattern=_RELEASE,
            example="almalinux-9",
            osinfo={"": "http://almalinux.org/almalinux/{version}"},
            known=dict.fromkeys(("8", "9", "10"), ""),
            bases=_BUILT,
            rpm_macros={"9": _VAR, "": _SYSIMAGE},
            archives={
                "8": _rebuilt("almalinux", _ALMA, "-AlmaLinux"),
                "": _rebuilt("almalinux", _ALMA, "-AlmaLinux-{major}"),
            },
            relative="rhel",
            relative_versions=_OF_RHEL,
        ),
        Distribution(
            name="scientific",
            installer="yum",
            old=8,
            old_installer="yum",
            words=("sl",),
            pattern=_RELEASE,
            example="scientific-6",
            relative="rhel",
            relative_versions=_OF_RHEL,
        ),
    ),
    templates="linux/redhat",
    # What scripts call: a container may lack it.
    base_packages=(
        "systemd",
        "ca-certificates",
        "findutils",
        "gawk",
        "grep",
        "hostname",
        "iproute",
        "iputils",
        "passwd",
        "procps-ng",
        "sed",
        "shadow-utils",
        "util-linux",
    ),
    old_base_packages=("ca-certificates", "initscripts", "iproute", "passwd", "procps", "shadow-utils"),
    writers={
        "hostname": "etc_hostname",
        "timezone": "localtime_link",
        "locale": "locale_conf",
        "keyboard": "vconsole_conf",
        "network": "networkmanager",
        "firewall": "firewalld",
        "repositories": "repository_files",
        "cleanup": "redhat_cleanup",
    },
    # What is as old as yum has its network by scripts: Fedora 14 knows no other way, CentOS 7 both.
    old_writers={
        "hostname": "sysconfig_hostname",
        "timezone": "sysconfig_clock",
        "locale": "sysconfig_i18n",
        "keyboard": "sysconfig_keyboard",
        "network": "ifcfg",
        "firewall": "sysconfig_iptables",
        "repositories": "repository_files",
        "cleanup": "redhat_cleanup",
    },
    setting_packages={
        "localtime_link": ("tzdata",),
        "locale_conf": ("glibc-langpack-{language}",),
        "vconsole_conf": ("kbd",),
        "networkmanager": ("NetworkManager",),
        "firewalld": ("firewalld",),
        "iptables": ("iptables",),
        "ifcfg": ("initscripts",),
        "sysconfig_iptables": ("iptables",),
        **dict.fromkeys(_APART, ("iptables", "iptables-ipv6")),
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
    shells={
        "zsh": "zsh",
        "fish": "fish",
        "tcsh": "tcsh",
        "csh": "tcsh",
        "ksh": "ksh",
        "mksh": "mksh",
        "dash": "dash",
        "git-shell": "git",
    },
    package_names=_PACKAGES,
    package_file=r"\.rpm$",
    arches={"amd64": "x86_64", "i386": "i686", "arm64": "aarch64"},
    up=SYSTEMD_UP,
    old_up=ANY_INIT_UP,
    machine=_MACHINE,
)
