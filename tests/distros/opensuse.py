"""The openSUSE of the tests: zypper, NetworkManager, firewalld."""

from __future__ import annotations

from tests.distros.content import Package
from tests.distros.family import GROUPS, PRESETS, Distribution, names, sshd

OS_RELEASE = """\
NAME="openSUSE Leap"
VERSION="15.6"
ID="opensuse-leap"
ID_LIKE="suse opensuse"
VERSION_ID="15.6"
PRETTY_NAME="openSUSE Leap 15.6"
CPE_NAME="cpe:/o:opensuse:leap:15.6"
"""

REPO = """\
[{name}]
name={title}
enabled=1
autorefresh=1
baseurl=http://download.opensuse.org/{path}
type=rpm-md
"""

PRODUCT = """\
<?xml version="1.0" encoding="UTF-8"?>
<product schemeversion="0">
  <vendor>openSUSE</vendor>
  <name>Leap</name>
  <version>15.6</version>
  <release>1</release>
  <arch>x86_64</arch>
  <productline>Leap</productline>
  <summary>openSUSE Leap 15.6</summary>
</product>
"""
"""zypper takes $releasever from it."""

PRESENT = {
    "openSUSE-release": ("system-release = 15.6", "distribution-release"),
    "openSUSE-build-key": (),
    "bash": ("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"),
    "bash-sh": (),
    "coreutils": ("/usr/bin/env",),
    "python3": ("/usr/bin/python3",),
    "shadow": ("/usr/sbin/useradd", "/usr/sbin/groupadd"),
    "systemd": ("/usr/bin/systemctl",),
    **names(
        "filesystem system-user-root system-group-hardware system-group-wheel aaa_base glibc glibc-locale-base",
        "timezone ca-certificates ca-certificates-mozilla sed grep gawk findutils tar gzip bzip2 xz zstd cpio",
        "util-linux procps hostname which zypper libzypp rpm gpg2 curl libcurl4 openssl openssl-3 udev",
        "systemd-sysvinit dbus-1 NetworkManager firewalld python3-firewall iptables nftables openssh",
        "openssh-server openssh-clients sudo iproute2 iputils kbd pam polkit e2fsprogs kmod less netcfg permissions",
    ),
}

DISTRIBUTION = Distribution(
    name="opensuse",
    system="opensuse-15.6",
    tag=".156",
    format="rpm",
    present=PRESENT,
    files={
        "/usr/lib/os-release": OS_RELEASE,
        "/etc/rpm/macros": "%_dbpath /usr/lib/sysimage/rpm\n",
        "/etc/zypp/repos.d/repo-oss.repo": REPO.format(
            name="repo-oss", title="Main Repository", path="distribution/leap/$releasever/repo/oss/"
        ),
        "/etc/zypp/repos.d/repo-update.repo": REPO.format(
            name="repo-update", title="Update Repository", path="update/leap/$releasever/oss"
        ),
        "/etc/products.d/Leap.prod": PRODUCT,
        "/etc/zypp/zypp.conf": "[main]\n",
        "/usr/lib/systemd/system-preset/90-default-openSUSE.preset": (
            "enable NetworkManager.service\nenable firewalld.service\nenable getty@.service\n"
        ),
        "/usr/lib/systemd/system-preset/99-default-disable.preset": PRESETS,
        "/usr/lib/systemd/system/sshd.service": sshd(before="/usr/sbin/sshd-gen-keys-start"),
        "/etc/locale.conf": "LANG=C.UTF-8\n",
        "/etc/vconsole.conf": "KEYMAP=us\n",
        "/usr/share/kbd/keymaps/xkb/ro.map": "keymaps 0-127\n",
        "/usr/sbin/sshd-gen-keys-start": "#!/bin/sh\nexec /usr/bin/ssh-keygen -A\n",
        "/etc/sysconfig/language": 'RC_LANG=""\n',
    },
    identity=GROUPS.format(groups="wheel mem lock users trusted utmp floppy cdrom tape dialout")
    + """
sed -i '/^@includedir/i Defaults targetpw\\nALL ALL=(ALL) ALL' /etc/sudoers
mkdir -p /usr/lib/sysimage/rpm /usr/lib/rpm/gnupg/keys
rmdir /var/lib/rpm
ln -s ../../usr/lib/sysimage/rpm /var/lib/rpm
ln -s Leap.prod /etc/products.d/baseproduct
cp /keys/public.asc /usr/lib/rpm/gnupg/keys/gpg-pubkey-tests.asc
rpm --initdb
rpm --import /keys/public.asc
rpm -U /packages/*.rpm
rm -rf /usr/share/i18n /etc/pacman.conf /etc/makepkg.conf
systemctl preset NetworkManager.service firewalld.service
systemctl disable ssh.service sshd.service 2>/dev/null || :
""",
    group="devel_basis",
    layout={
        "distribution/leap/15.6/repo/oss": "main",
        "update/leap/15.6/oss": "updates",
        "update/leap/15.6/sle": "nothing",
        "update/leap/15.6/backports": "nothing",
    },
    own=(
        Package(name="glibc-locale", locales=("ro_RO", "en_US")),
        Package(name="kbd-legacy"),
        Package(
            name="patterns-devel-base-devel_basis",
            provides=("pattern() = devel_basis", "pattern-category() = Development", "pattern-visible()"),
            requires=("gcc", "git", "make"),
        ),
    ),
)
