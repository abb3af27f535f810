"""The Fedora of the tests: dnf 4, NetworkManager, firewalld."""

from __future__ import annotations

from tests.distros.content import Package
from tests.distros.family import GROUPS, PRESETS, Distribution, names, sshd

OS_RELEASE = """\
NAME="Fedora Linux"
VERSION="42 (Container Image)"
ID=fedora
VERSION_ID=42
PLATFORM_ID="platform:f42"
PRETTY_NAME="Fedora Linux 42 (Container Image)"
CPE_NAME="cpe:/o:fedoraproject:fedora:42"
"""

REPO = """\
[{name}]
name=Fedora $releasever - $basearch{title}
metalink=https://mirrors.fedoraproject.org/metalink?repo={link}&arch=$basearch
enabled=1
type=rpm
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$releasever-$basearch
skip_if_unavailable=False
"""

KEYGEN = """\
[Unit]
Description=OpenSSH host keys
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
"""

PRESENT = {
    "fedora-release": ("system-release = 42", "system-release(releasever) = 42", "redhat-release"),
    "fedora-release-common": (),
    "fedora-gpg-keys": (),
    "fedora-repos": (),
    "bash": ("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"),
    "coreutils": ("/usr/bin/env",),
    "python3": ("/usr/bin/python3",),
    "shadow-utils": ("/usr/sbin/useradd", "/usr/sbin/groupadd"),
    "systemd": ("systemd-sysv", "/usr/bin/systemctl"),
    "iptables-nft": ("iptables",),
    **names(
        "setup filesystem basesystem glibc glibc-common glibc-minimal-langpack libgcc tzdata ca-certificates",
        "sed grep gawk findutils tar gzip bzip2 xz zstd cpio util-linux util-linux-core procps-ng hostname which",
        "dnf dnf-data yum rpm rpm-libs gnupg2 curl libcurl openssl openssl-libs crypto-policies",
        "systemd-libs systemd-pam systemd-networkd systemd-resolved systemd-udev dbus dbus-common dbus-daemon",
        "NetworkManager NetworkManager-libnm firewalld firewalld-filesystem python3-firewall nftables",
        "openssh openssh-server openssh-clients sudo iproute iputils kbd kbd-misc passwd pam audit-libs polkit",
        "e2fsprogs kmod less rootfiles vim-minimal",
    ),
}

DISTRIBUTION = Distribution(
    name="fedora",
    system="fedora-42",
    format="rpm",
    tag=".fc42",
    present=PRESENT,
    files={
        "/usr/lib/os-release": OS_RELEASE,
        "/etc/fedora-release": "Fedora release 42 (Adams)\n",
        "/etc/rpm/macros": "%_dbpath /usr/lib/sysimage/rpm\n",
        "/etc/dnf/dnf.conf": "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=False\n",
        "/etc/yum.repos.d/fedora.repo": REPO.format(name="fedora", title="", link="fedora-$releasever"),
        "/etc/yum.repos.d/fedora-updates.repo": REPO.format(
            name="updates", title=" - Updates", link="updates-released-f$releasever"
        ),
        "/usr/lib/systemd/system-preset/90-default.preset": (
            "enable sshd.service\nenable sshd-keygen@.service\nenable NetworkManager.service\n"
            "enable NetworkManager-dispatcher.service\nenable firewalld.service\nenable getty@.service\n"
        ),
        "/usr/lib/systemd/system-preset/99-default-disable.preset": PRESETS,
        "/usr/lib/systemd/system/sshd.service": sshd("sshd-keygen.target"),
        "/usr/lib/systemd/system/sshd-keygen.target": "[Unit]\nWants=sshd-keygen@ed25519.service\n",
        "/usr/lib/systemd/system/sshd-keygen@.service": KEYGEN,
        "/etc/locale.conf": "LANG=C.UTF-8\n",
        "/etc/vconsole.conf": "KEYMAP=us\n",
        "/usr/lib/kbd/keymaps/xkb/ro.map": "keymaps 0-127\n",
        "/etc/sysconfig/network": "# Created by anaconda\n",
    },
    identity=GROUPS.format(groups="wheel mem lock ftp users utmp floppy cdrom tape dialout dbus")
    + """
ln -sf fedora-release /etc/redhat-release
ln -sf fedora-release /etc/system-release
ln -s dnf /usr/bin/yum
sed -i '/^@includedir/i %wheel ALL=(ALL) ALL' /etc/sudoers
mkdir -p /usr/lib/sysimage/rpm /etc/pki/rpm-gpg
rmdir /var/lib/rpm
ln -s ../../usr/lib/sysimage/rpm /var/lib/rpm
cp /keys/public.asc /etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-42-x86_64
rpm --initdb
rpm -U /packages/*.rpm
rm -rf /usr/share/i18n /etc/pacman.conf /etc/makepkg.conf
systemctl preset sshd.service NetworkManager.service firewalld.service
""",
    group="development-tools",
    layout={
        "releases/42/Everything/x86_64/os": "main",
        "updates/42/Everything/x86_64": "updates",
    },
    own=(Package(name="glibc-langpack-ro", locales=("ro_RO",)), Package(name="glibc-langpack-en", locales=("en_US",))),
    names={"vim": "vim-enhanced"},
)
