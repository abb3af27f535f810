"""Debian and its relatives."""

from __future__ import annotations

from vmgen_build.systems.model import (
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

_BASE_GROUPS = (
    "root daemon bin sys adm tty disk lp mail news uucp man proxy kmem dialout fax voice cdrom floppy tape sudo audio "
    "dip www-data backup operator list irc src shadow utmp video sasl plugdev staff games users nogroup"
)
_OTHER_GROUPS = "systemd-journal systemd-network crontab input sgx kvm render messagebus netdev"

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _main(*suites: str) -> Archive:
    """https://www.debian.org/mirror/list"""
    return Archive(name="debian", uri="http://deb.debian.org/debian", suites=suites, keyring=_KEYRING)


_SECURITY = Archive(
    name="debian-security",
    uri="http://deb.debian.org/debian-security",
    suites=("{codename}-security",),
    keyring=_KEYRING,
)
"""https://www.debian.org/security/; so called since Debian 11."""

_UBUNTU_KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"


def _ubuntu(name: str, uri: str) -> tuple[Archive, ...]:
    """https://help.ubuntu.com/community/Repositories/Ubuntu; ifupdown is in universe. The archive holds the security
    updates as well: a mirror of it stands for all."""
    suites = ("{codename}", "{codename}-updates", "{codename}-security")
    return (Archive(name=name, uri=uri, suites=suites, components=("main", "universe"), keyring=_UBUNTU_KEYRING),)


_UBUNTU_ARCHIVE = _ubuntu("ubuntu", "http://archive.ubuntu.com/ubuntu")
_UBUNTU_PORTS = _ubuntu("ubuntu-ports", "http://ports.ubuntu.com/ubuntu-ports")
_UBUNTU_OLD = _ubuntu("ubuntu-old", "http://old-releases.ubuntu.com/ubuntu")

_NO_USR_IS_MERGED = {"usr-is-merged": ""}
"""Before Debian 12 and Ubuntu 24.04 there is no such package. The bootstrap merges /usr all the same."""

_DHCPCD = {"isc-dhcp-client": "dhcpcd-base"}
"""isc-dhcp-client left Debian after 13; its successor is there since Debian 13 and Ubuntu 24.04."""

_UBUNTU_BUILT = ("20.04", "22.04", "24.04", "25.04", "25.10", "26.04")

_KERNEL_IMG = "do_symlinks = yes\nlink_in_boot = yes\n"
"""kernel-img.conf(5): /boot/vmlinuz and /boot/initrd.img lead to the newest kernel, also where /boot is a volume of its
own."""

_INITRAMFS = "MODULES=most\nFSTYPE={checked}\nRESUME=none\n"
"""initramfs.conf(5). FSTYPE: what to check before it is mounted, which cannot be asked of a disk yet to be made. No
RESUME: the builder's own swap space would be found."""

_DEFAULT_GRUB = """\
# Written by vmgen-build. update-grub(8) makes /boot/grub/grub.cfg from it: run it after a change.
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR={distributor}
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="{consoles}"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
"""

_MACHINE = WholeMachine(
    # fdisk brings sfdisk(8), by which the root partition grows.
    packages=("e2fsprogs", "fdisk", "grub2-common", "initramfs-tools", "kmod", "mount", "udev", "zstd"),
    kernels={"amd64": "linux-image-amd64", "i386": "linux-image-686-pae"},
    # https://www.debian.org/releases/trixie/release-notes/issues.html
    without_kernel=frozenset({("13", "i386"), ("sid", "i386")}),
    loaders=grub_loaders("grub-pc-bin", "grub-efi-amd64-bin"),
    file_systems={"btrfs": "btrfs-progs", "xfs": "xfsprogs", "vfat": "dosfstools", "ntfs": "ntfs-3g"},
    screen_keyboard=("console-setup",),
    kernel_files={"kernel-img.conf": _KERNEL_IMG},
    boot_files={"initramfs.conf": _INITRAMFS, "default-grub": _DEFAULT_GRUB},
    # initramfs-tools(7) and its hooks.
    initramfs_inputs=(
        *("/etc/initramfs-tools/", "/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/udev/"),
        *("/etc/systemd/network/", "/etc/modules", "/etc/fstab", "/etc/crypttab", "/etc/lvm/", "/etc/mdadm/"),
    ),
    takes_orders=True,
    before_network=("ifupdown-pre.service", "network-pre.target"),
    tools={"vmware": ("open-vm-tools", ("open-vm-tools.service",)), "kvm": ("qemu-guest-agent", ())},
)

FAMILY = Family(
    name="debian",
    rank=10,
    distributions=(
        Distribution(
            name="debian",
            installer="apt",
            known={
                "6": "squeeze",
                "7": "wheezy",
                "8": "jessie",
                "9": "stretch",
                "10": "buster",
                "11": "bullseye",
                "12": "bookworm",
                "13": "trixie",
                "sid": "sid",
            },
            example="debian-12",
            osinfo={"sid": "http://debian.org/debian/testing", "": "http://debian.org/debian/{version}"},
            bases=dict.fromkeys(("11", "12", "13", "sid"), "mmdebstrap"),
            archives={"": (_main("{codename}", "{codename}-updates"), _SECURITY), "sid": (_main("{codename}"),)},
            tried=(
                Tried(versions=("11", "12", "13", "sid"), arches=("amd64",), how="real", when="2026-11"),
                Tried(versions=("12",), arches=("i386",), how="real", when="2026-11"),
                Tried(versions=("12",), arches=("arm64",), how="emulated", when="2026-11"),
            ),
            instead={**dict.fromkeys(("6", "7", "8", "9", "10", "11"), _NO_USR_IS_MERGED), "sid": _DHCPCD},
        ),
        Distribution(
            name="ubuntu",
            installer="apt",
            known={
                "10.10": "maverick",
                "12.04": "precise",
                "14.04": "trusty",
                "16.04": "xenial",
                "18.04": "bionic",
                "20.04": "focal",
                "22.04": "jammy",
                "24.04": "noble",
                "25.04": "plucky",
                "25.10": "questing",
                "26.04": "resolute",
            },
            pattern=r"[0-9]{1,2}\.(04|06|10)",
            example="ubuntu-24.04",
            osinfo={"": "http://ubuntu.com/ubuntu/{version}"},
            bases=dict.fromkeys(_UBUNTU_BUILT, "mmdebstrap"),
            archives={
                "": _UBUNTU_ARCHIVE,
                "-arm64": _UBUNTU_PORTS,
                **dict.fromkeys(("10.10", "25.04"), _UBUNTU_OLD),
            },
            instead={
                **dict.fromkeys(("20.04", "22.04"), _NO_USR_IS_MERGED),
                **dict.fromkeys(("24.04", "25.04", "25.10", "26.04"), _DHCPCD),
            },
            kernels={"amd64": "linux-image-virtual"},
            partial={
                f"{version}-i386": "Ubuntu's archive holds only some libraries for i386 since 20.04"
                for version in _UBUNTU_BUILT
            },
            relative="debian",
            # The Debian that its packages are nearest to; 24.04 left Debian's way half between 12 and 13.
            relative_versions={
                "20.04": "11",
                "22.04": "12",
                "24.04": "12",
                "25.04": "13",
                "25.10": "13",
                "26.04": "13",
            },
            tried=(
                Tried(versions=("24.04",), arches=("amd64",), how="look-alike", when="2026-11"),
                Tried(versions=_UBUNTU_BUILT, arches=("amd64", "arm64"), how="rendered", when="2026-11"),
            ),
        ),
    ),
    templates="linux/debian",
    base_packages=(
        "ca-certificates",
        "dbus",
        "ifupdown",
        "iproute2",
        "iputils-ping",
        "isc-dhcp-client",
        "netbase",
        "procps",
        "systemd",
        "systemd-sysv",
        "usr-is-merged",
    ),
    # The stanzas that vzctl's scripts write into /etc/network/interfaces call ifconfig(8) and route(8).
    node_packages={"vzctl": ("ifupdown", "net-tools")},
    writers={
        "hostname": "debian_hostname",
        "mail_name": "etc_mailname",
        "timezone": "etc_timezone",
        "locale": "locale_gen",
        "keyboard": "keyboard_configuration",
        "network": "ifupdown",
        "firewall": "netfilter_persistent",
        "repositories": "repository_files",
        "cleanup": "debian_cleanup",
    },
    groups=frozenset(_BASE_GROUPS.split() + _OTHER_GROUPS.split()),
    program_groups={
        "docker": ("docker", "docker.io"),
        "libvirt": ("libvirt", "kvm", "libvirt-daemon-system"),
        "wireshark": ("wireshark", "tshark"),
        "lpadmin": ("cups",),
        "postgres": ("postgresql",),
        "mysql": ("mysql", "mariadb", "mariadb-server"),
        "ssl-cert": ("postgresql", "ssl-cert"),
        "vboxusers": ("virtualbox",),
    },
    admin_group="sudo",
    base_shells=frozenset({"sh", "bash", "dash", "rbash", "false", "true", "nologin", "sync"}),
    shells={
        "zsh": "zsh",
        "fish": "fish",
        "tcsh": "tcsh",
        "csh": "tcsh",
        "ksh": "ksh",
        "mksh": "mksh",
        "git-shell": "git",
    },
    # Debian Policy 5.6.7, with an architecture.
    package_names=PackageNames(
        pattern=rf"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?{PIN}",
        what="a Debian package's name",
        write="lower-case letters, digits, + - and dots",
    ),
    package_file=r"\.deb$",
    up=SYSTEMD_UP,
    machine=_MACHINE,
)
