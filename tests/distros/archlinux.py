"""The Arch Linux of the tests: pacman 6, systemd-networkd and systemd-resolved, nftables; nothing is enabled."""

from __future__ import annotations

from tests.distros.family import GROUPS, PRESETS, Distribution, names, sshd

OS_RELEASE = """\
NAME="Arch Linux"
PRETTY_NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
"""

PACMAN_CONF = """\
[options]
HoldPkg     = pacman glibc
Architecture = auto
CheckSpace
SigLevel    = Required DatabaseOptional
LocalFileSigLevel = Optional

[core]
Include = /etc/pacman.d/mirrorlist

[extra]
Include = /etc/pacman.d/mirrorlist
"""

KEYGEN = """\
[Unit]
Description=SSH Key Generation
ConditionPathExists=|!/etc/ssh/ssh_host_ed25519_key
[Service]
ExecStart=/usr/bin/ssh-keygen -A
Type=oneshot
RemainAfterExit=yes
"""

TABLES = """\
[Unit]
Description=Packet filtering framework
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
ExecStart=/usr/sbin/{name}-restore /etc/iptables/{name}.rules
RemainAfterExit=yes
[Install]
WantedBy=multi-user.target
"""

PRESENT = {
    "bash": ("sh",),
    **names(
        "filesystem tzdata glibc base archlinux-keyring pacman pacman-mirrorlist ca-certificates coreutils sed grep",
        "gawk findutils tar gzip bzip2 xz zstd util-linux procps-ng inetutils which gnupg curl openssl systemd-libs",
        "systemd-sysvcompat dbus openssh sudo iproute2 iputils kbd pam polkit e2fsprogs kmod less nftables python",
        "shadow networkmanager firewalld psmisc licenses pciutils systemd iptables",
    ),
}

DISTRIBUTION = Distribution(
    name="arch",
    system="arch",
    format="pacman",
    present=PRESENT,
    files={
        "/usr/lib/os-release": OS_RELEASE,
        "/etc/arch-release": "",
        "/etc/pacman.conf": PACMAN_CONF,
        "/etc/pacman.d/mirrorlist": "Server = https://geo.mirror.pkgbuild.com/$repo/os/$arch\n",
        "/usr/lib/systemd/system-preset/90-default.preset": "enable getty@.service\n",
        "/usr/lib/systemd/system-preset/99-default.preset": PRESETS,
        "/usr/lib/systemd/system/sshd.service": sshd("sshdgenkeys.service"),
        "/usr/lib/systemd/system/sshdgenkeys.service": KEYGEN,
        "/usr/lib/systemd/system/iptables.service": TABLES.format(name="iptables"),
        "/usr/lib/systemd/system/ip6tables.service": TABLES.format(name="ip6tables"),
        "/usr/share/kbd/keymaps/i386/qwerty/ro.map": "keymaps 0-127\n",
        "/etc/locale.conf": "LANG=C.UTF-8\n",
    },
    identity=GROUPS.format(groups="wheel mem log smmsp proc network scanner power optical storage rfkill uucp ftp lock")
    + """
rm -f /etc/locale.gen.dpkg* /etc/dnf/dnf.conf
mkdir -p /var/lib/pacman /var/cache/pacman/pkg /usr/share/pacman
gpg --batch --dearmor </keys/public.asc >/usr/share/keyrings/archlinux.gpg
gpg --batch --quiet --show-keys --with-colons /keys/public.asc | awk -F: '$1 == "fpr" {print $10 ":4:"; exit}' \\
    >/usr/share/keyrings/archlinux-trusted
: >/usr/share/keyrings/archlinux-revoked
ln -s ../keyrings /usr/share/pacman/keyrings
sed 's/^SigLevel.*/SigLevel = Never/; /^LocalFile/d' /etc/pacman.conf >/tmp/pacman.conf
pacman --config /tmp/pacman.conf --noconfirm --noprogressbar -U /packages/*.pkg.tar.zst
for unit in NetworkManager.service firewalld.service nftables.service systemd-networkd.service; do
    systemctl disable "$unit" 2>/dev/null
done
""",
    group="base-devel",
    layout={"core/os/x86_64": "main", "extra/os/x86_64": "nothing"},
)
