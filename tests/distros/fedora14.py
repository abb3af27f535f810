"""The old Fedora of the tests: 32 bits, System V's init, initscripts, yum's command line. An OS template for OpenVZ.

Debian's archive has no upstart, no chkconfig and no yum 3. The scripts here stand in for Fedora's initscripts, as far
as containers need them: rc, rc.sysinit, network, iptables, ip6tables, sshd and chkconfig, as sysconfig.txt and
chkconfig(8) have them. yum is dnf 4, which takes yum's command line.
"""

from __future__ import annotations

from tests.distros.content import DAEMON, Package, program
from tests.distros.debian import OLD
from tests.distros.family import GROUPS, Distribution, names

INITTAB = """\
id:3:initdefault:
si::sysinit:/etc/rc.d/rc.sysinit
l0:0:wait:/etc/rc.d/rc 0
l3:3:wait:/etc/rc.d/rc 3
l6:6:wait:/etc/rc.d/rc 6
ca::ctrlaltdel:/sbin/shutdown -t3 -r now
pf::powerfail:/sbin/init 0
"""

RC_SYSINIT = """\
#!/bin/sh
HOSTNAME=
. /etc/sysconfig/network
[ -z "$HOSTNAME" ] || hostname "$HOSTNAME" || :
mkdir -p /var/run /run/lock /run/sshd
rm -f /var/run/*.pid
: >/var/run/utmp
touch /var/log/wtmp
ip link set lo up
"""

RC = """\
#!/bin/sh
level=$1
for script in /etc/rc.d/rc"$level".d/K*; do [ ! -x "$script" ] || "$script" stop; done
for script in /etc/rc.d/rc"$level".d/S*; do [ ! -x "$script" ] || "$script" start; done
case $level in
    0) exec halt -f -d ;;
    6) exec reboot -f -d ;;
esac
"""

CHKCONFIG = r"""#!/bin/sh
# chkconfig NAME [on|off|reset], --add NAME, --del NAME, --list [NAME]: chkconfig(8)
header() { sed -n 's/^# chkconfig: *\(.*\)/\1/p' "/etc/rc.d/init.d/$1"; }
links() {
    rm -f /etc/rc.d/rc?.d/[SK]??"$1"
    set -- "$1" "$2" $(header "$1" | sed 's/^-/2345/')
    for level in 0 1 2 3 4 5 6; do
        mkdir -p "/etc/rc.d/rc$level.d"
        case $2:$3 in
            on:*$level*) ln -s "../init.d/$1" "/etc/rc.d/rc$level.d/S$4$1" ;;
            *) ln -s "../init.d/$1" "/etc/rc.d/rc$level.d/K$5$1" ;;
        esac
    done
}
known() {
    [ -x "/etc/rc.d/init.d/$1" ] || { echo "error reading information on service $1: No such file" >&2; exit 1; }
}
list() { printf '%s\t3:%s\n' "$1" "$(ls /etc/rc.d/rc3.d/S??"$1" >/dev/null 2>&1 && echo on || echo off)"; }
case $1 in
    --add) known "$2"; set -- "$2" $(header "$2"); if [ "$2" = - ]; then links "$1" off; else links "$1" on; fi ;;
    --del) rm -f /etc/rc.d/rc?.d/[SK]??"$2" ;;
    --list) for script in ${2:-$(ls /etc/rc.d/init.d)}; do known "$script"; list "$script"; done ;;
    *)
        known "$1"
        case ${2:-} in
            on | off) links "$1" "$2" ;;
            '') ls /etc/rc.d/rc3.d/S??"$1" >/dev/null 2>&1 ;;
        esac
        ;;
esac
"""

NETWORK = """\
#!/bin/sh
# chkconfig: 2345 10 90
up() {
    DEVICE= ONBOOT= BOOTPROTO= IPADDR= NETMASK= GATEWAY= IPV6ADDR= IPV6ADDR_SECONDARIES= IPV6_DEFAULTGW=
    . "$1"
    device=${DEVICE%%:*}
    [ "$ONBOOT" = yes ] && [ -e "/sys/class/net/$device" ] || return 0
    ip link set "$device" up
    [ -z "$IPADDR" ] || ifconfig "$DEVICE" "$IPADDR" netmask "${NETMASK:-255.255.255.0}"
    for address in $IPV6ADDR $IPV6ADDR_SECONDARIES; do ip -6 addr add "$address" dev "$device"; done
    [ -z "$GATEWAY" ] || ip route replace default via "$GATEWAY" dev "$device" onlink
    [ -z "$IPV6_DEFAULTGW" ] || ip -6 route replace default via "${IPV6_DEFAULTGW%%%*}" dev "$device"
    if [ "$BOOTPROTO" = dhcp ] && [ -x /sbin/dhclient ]; then /sbin/dhclient "$device"; fi
}
case $1 in
    start | restart)
        sysctl -q -e -p /etc/sysctl.conf
        for file in /etc/sysconfig/network-scripts/ifcfg-*; do
            case $file in *-lo | *-\\*) ;; *) up "$file" ;; esac
        done
        ;;
    stop) ;;
esac
"""

TABLES = """\
#!/bin/sh
# chkconfig: 2345 08 92
case $1 in
    start | restart) [ ! -e /etc/sysconfig/{name} ] || {name}-restore </etc/sysconfig/{name} ;;
    save) {name}-save >/etc/sysconfig/{name} ;;
    stop) ;;
esac
"""

SSHD = """\
#!/bin/sh
# chkconfig: 2345 55 25
case $1 in
    start) ssh-keygen -A >/dev/null; mkdir -p /run/sshd; setsid /usr/sbin/sshd ;;
    stop) kill "$(cat /run/sshd.pid)" ;;
    restart) "$0" stop; "$0" start ;;
    status) kill -0 "$(cat /run/sshd.pid)" ;;
esac
"""
"""setsid: rc is a session's leader, and ends right after sshd has forked; the child that has no session of its own yet
would get SIGHUP then."""

REPO = """\
[{name}]
name=Fedora $releasever - $basearch
baseurl=http://{address}:{port}/fedora14/{path}
enabled=1
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$basearch
"""

PRESENT = {
    "fedora-release": ("system-release = 14", "system-release(releasever) = 14", "redhat-release"),
    "bash": ("/bin/sh", "/bin/bash"),
    "coreutils": ("/usr/bin/env",),
    "python": ("/usr/bin/python3",),
    "shadow-utils": ("/usr/sbin/useradd", "/usr/sbin/groupadd"),
    "initscripts": ("/sbin/service",),
    **names(
        "setup filesystem basesystem glibc glibc-common tzdata ca-certificates sed grep gawk findutils tar gzip bzip2",
        "xz util-linux-ng procps upstart chkconfig yum rpm gnupg2 curl openssl net-tools iproute iputils iptables",
        "iptables-ipv6 kbd passwd pam openssh openssh-server openssh-clients sudo e2fsprogs module-init-tools less",
    ),
}

KEYED = "/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora"

SERVICE = """\
#!/bin/sh
# chkconfig: - 85 15
pid=/var/run/transmission-daemon.pid
case $1 in
    start) setsid /usr/bin/transmission-daemon >/dev/null 2>&1 </dev/null & echo $! >"$pid" ;;
    stop) kill "$(cat "$pid")" ;;
    restart) "$0" stop; "$0" start ;;
    status) kill -0 "$(cat "$pid")" ;;
esac
"""

TRANSMISSION = Package(
    name="transmission-daemon",
    files={
        "/usr/bin/transmission-daemon": DAEMON.format(name="transmission-daemon", version="1.0", port=9091),
        "/etc/rc.d/init.d/transmission-daemon": SERVICE,
    },
    post="chkconfig --add transmission-daemon",
)

OWN = (
    TRANSMISSION,
    *(program("nmap-ncat", "nc", "ncat"), program("transmission-cli")),
    *(program("chromium", "chromium-browser"), program("wireshark"), Package(name="libgomp")),
    Package(name="libomp-devel"),
)


def distribution(port: int, address: str) -> Distribution:
    """port, address: of the mirror that its own repositories name, as those of an old release name theirs."""
    where = {"port": port, "address": address}
    return Distribution(
        name="fedora14",
        system="fedora-14-x86",
        format="rpm",
        tag=".fc14",
        bootstrap=OLD,
        compression="gzip",
        present=PRESENT,
        files={
            "/etc/fedora-release": "Fedora release 14 (Laughlin)\n",
            "/etc/rpm/macros": "%_dbpath /var/lib/rpm\n",
            "/etc/inittab": INITTAB,
            "/etc/rc.d/rc.sysinit": RC_SYSINIT,
            "/etc/rc.d/rc": RC,
            "/etc/rc.d/init.d/network": NETWORK,
            "/etc/rc.d/init.d/iptables": TABLES.format(name="iptables"),
            "/etc/rc.d/init.d/ip6tables": TABLES.format(name="ip6tables"),
            "/etc/rc.d/init.d/sshd": SSHD,
            "/usr/sbin/chkconfig": CHKCONFIG,
            "/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n",
            "/etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\nIPADDR=127.0.0.1\nNETMASK=255.0.0.0\nONBOOT=yes\n",
            "/etc/sysconfig/i18n": 'LANG="C.UTF-8"\n',
            "/etc/sysctl.conf": "net.ipv4.ip_forward = 0\n",
            "/etc/yum.conf": "[main]\ngpgcheck=1\ninstallonly_limit=3\n",
            "/etc/yum.repos.d/fedora.repo": REPO.format(name="fedora", **where, path="releases/14/Everything/os"),
            "/etc/yum.repos.d/fedora-updates.repo": REPO.format(name="updates", **where, path="updates/14"),
        },
        identity=GROUPS.format(groups="wheel mem lock ftp users utmp floppy dialout")
        + f"""
chmod 0755 /etc/rc.d/rc /etc/rc.d/rc.sysinit /etc/rc.d/init.d/*
for level in 0 1 2 3 4 5 6; do mkdir -p /etc/rc.d/rc$level.d; ln -s rc.d/rc$level.d /etc/rc$level.d; done
ln -s rc.d/init.d /etc/init.d
for service in network iptables ip6tables sshd; do chkconfig --add "$service"; done
chkconfig iptables off
chkconfig ip6tables off
ln -sf fedora-release /etc/redhat-release
ln -sf fedora-release /etc/system-release
ln -s dnf /usr/bin/yum
rm -f /etc/dnf/dnf.conf /etc/locale.conf
ln -s ../yum.conf /etc/dnf/dnf.conf
sed -i '/^@includedir/i %wheel ALL=(ALL) ALL' /etc/sudoers
mkdir -p /etc/pki/rpm-gpg /var/lib/rpm
for name in "" -i386 -i686 -x86_64; do cp /keys/public.asc "{KEYED}$name"; done
rpm --initdb
rpm -U /packages/*.rpm
""",
        group="development-tools",
        own=OWN,
        layout={"releases/14/Everything/os": "main", "updates/14": "updates"},
        names={"vim": "vim-enhanced"},
    )
