"""Debian and its relatives."""

from __future__ import annotations

from vmgen_build.systems.model import SYSTEMD_UP, Archive, Distribution, Family, Loader, PackageNames, WholeMachine

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
GRUB_DISTRIBUTOR=Debian
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
    loaders={
        "bios": Loader(
            package="grub-pc-bin",
            target="i386-pc",
            image="/boot/grub/i386-pc/core.img",
            modules=("biosdisk",),
        ),
        "efi": Loader(
            package="grub-efi-amd64-bin",
            target="x86_64-efi",
            image="/boot/efi/EFI/BOOT/BOOTX64.EFI",
            modules=("fat", "efi_gop", "efi_uga"),
        ),
    },
    file_systems={"btrfs": "btrfs-progs", "xfs": "xfsprogs", "vfat": "dosfstools", "ntfs": "ntfs-3g"},
    screen_keyboard=("console-setup",),
    kernel_files={"kernel-img.conf": _KERNEL_IMG},
    boot_files={"initramfs.conf": _INITRAMFS, "default-grub": _DEFAULT_GRUB},
    # initramfs-tools(7) and its hooks.
    initramfs_inputs=(
        *("/etc/initramfs-tools/", "/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/udev/"),
        *("/etc/systemd/network/", "/etc/modules", "/etc/fstab", "/etc/crypttab", "/etc/lvm/", "/etc/mdadm/"),
    ),
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
            bases=dict.fromkeys(("11", "12", "13", "sid"), "mmdebstrap"),
            archives={"": (_main("{codename}", "{codename}-updates"), _SECURITY), "sid": (_main("{codename}"),)},
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
            relative="debian",
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
        "repositories": "apt_sources",
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
        pattern=r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?",
        what="a Debian package's name",
        write="lower-case letters, digits, + - and dots",
    ),
    up=SYSTEMD_UP,
    machine=_MACHINE,
)
