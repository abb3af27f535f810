"""The Debian that all test distributions are made of: what Debian's archive has of their programs, in one root."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.distros.inside import Root
from tests.distros.kept import kept
from vmgen_build.bases.apt.archive import host_apt_settings, sources_here
from vmgen_build.host.system import DEBIAN_KEYS, host_system
from vmgen_build.systems.parse import parse_system


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A root of Debian's packages. archives: how many of Debian's archives it takes packages from; strip: a script of
    sh that takes out of it, as $1, what no other distribution has."""

    name: str
    arch: str
    packages: str
    archives: int
    strip: str


SHARED = (
    "ca-certificates curl dnf gnupg iproute2 iptables iputils-ping kbd locales netbase openssh-server procps rpm sudo"
)
"""firewalld dies without netbase's /etc/protocols."""

UNTAKEN = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

STRIP = """
cd "$1"
rm -rf etc/apt etc/dpkg etc/debian_version etc/debconf.conf etc/default/apt* etc/cron.daily/*dpkg* etc/cron.daily/apt*
rm -rf var/lib/apt var/lib/dpkg var/cache/apt var/cache/debconf var/log/* var/backups/* usr/lib/apt usr/share/keyrings/*
rm -f usr/bin/apt* usr/bin/dpkg* usr/sbin/dpkg* etc/timezone etc/hostname etc/resolv.conf etc/ssh/ssh_host_*
rm -f etc/issue* etc/motd etc/update-motd.d/* etc/default/locale etc/default/keyboard usr/lib/os-release
ln -sf bash bin/sh
ln -sf ../usr/share/zoneinfo/UTC etc/localtime
"""

SYSTEMD = """
rm -f etc/systemd/system/*.wants/*apt* etc/systemd/system/*.wants/*dpkg* etc/systemd/system/*.wants/e2scrub*
rm -f lib/systemd/system/*apt* lib/systemd/system/*dpkg* etc/systemd/system/sshd.service
rm -f etc/systemd/system/*.wants/ssh.service lib/systemd/system/ssh.s* lib/systemd/system/rescue-ssh.target
rm -f lib/systemd/system-preset/* etc/systemd/system/*.wants/systemd-resolved.service
rm -f etc/systemd/system/dbus-org.freedesktop.resolve1.service etc/init.d/*
"""
"""Debian's ssh.service is sshd.service elsewhere."""

SYSTEM_V = """
rm -rf etc/init.d etc/rc*.d etc/rc.local etc/os-release etc/inittab
"""

CURRENT = Bootstrap(
    name="debian",
    arch="amd64",
    packages=f"{SHARED} createrepo-c zypper pacman-package-manager arch-install-scripts makepkg libarchive-tools "
    "binutils fakeroot file zstd systemd-sysv libpam-systemd systemd-resolved dbus network-manager firewalld nftables "
    "tzdata",
    archives=2,
    strip=STRIP + SYSTEMD,
)
"""dnf-plugins-core breaks zypper."""

OLD = Bootstrap(
    name="debian-old",
    arch="i386",
    packages=f"{SHARED} sysvinit-core sysvinit-utils net-tools e2fsprogs less passwd psmisc tzdata",
    archives=1,
    strip=STRIP + SYSTEM_V,
)
"""32 bits, and System V's init."""


def debian_root(cache: Path, bootstrap: Bootstrap = CURRENT) -> Root:
    """It has no identity yet: no os-release, no package database."""

    def make(folder: Path) -> None:
        _bootstrap(bootstrap, folder / "root", cache)

    return Root((kept(cache, bootstrap.name, [asdict(bootstrap), UNTAKEN], make) / "root",))


def _bootstrap(bootstrap: Bootstrap, root: Path, cache: Path) -> None:
    system = parse_system(f"debian-bookworm-{bootstrap.arch}")
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=check/qemu"]
    command += [f"--architectures={bootstrap.arch}", f"--include={','.join(bootstrap.packages.split())}"]
    command += [f"--aptopt={setting.rstrip(';')}" for setting in host_apt_settings()]
    command += [f"--dpkgopt=path-exclude={path}" for path in UNTAKEN]
    if not host_system().is_debian:
        command.append(f"--keyring={DEBIAN_KEYS}")
    sources = [source.line() for source in sources_here(system, None, cache)]
    kinds = {line: line.split()[1] for line in sources}
    taken = list(dict.fromkeys(kinds.values()))[: bootstrap.archives]
    command += ["bookworm", str(root), *(line for line in sources if kinds[line] in taken)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode != 0:
        raise RuntimeError(f"mmdebstrap: {ran.stdout[-4000:]}")
    subprocess.run(["sh", "-euc", bootstrap.strip, "sh", str(root)], check=True)
