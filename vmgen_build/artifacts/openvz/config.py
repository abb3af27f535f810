"""The configuration of an OpenVZ container, /etc/vz/conf/CTID.conf (ctid.conf(5)): lines of KEY="value".

vzctl reads them, and shells source them: a value holds nothing that means anything to a shell. All numbers are plain
integers, which importers need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.plan.text.quote import Dialect, refuse_unsayable, shown

_LINE = re.compile(r'([A-Z][A-Z0-9_]*)="([^"]*)"')
_MEANS_SOMETHING = frozenset('"$`\\')
VEID = "$VEID"
"""Stands for the container's number in VE_ROOT and VE_PRIVATE; vzctl puts it in."""

DEVICES = ("ifname", "bridge", "mac", "host_ifname", "host_mac")
"""Keys of a network device in NETIF."""

VENET = "venet0"
"""The device by which the host routes to the container."""

PAGE = 4096
"""Bytes of the pages that PHYSPAGES and its like count, whatever the host's pages are."""

CONTENT_FACTOR, CONTENT_ROOM = 1.25, 1 << 30
"""A disk without a size of its own holds its content this many times, and these bytes of free space."""

INODES_FOR = 8192
"""Bytes of a disk for each inode of its quota, and the fewest of those."""
FEWEST_INODES = 200_000


@dataclass(frozen=True, slots=True)
class Device:
    """A veth device of NETIF. name: in the container; bridge "": none."""

    name: str
    bridge: str
    mac: str
    host_name: str
    host_mac: str


def conf_value(text: str) -> str:
    """The text as a value, quoted. Raises ValueError for what the file cannot hold as data."""
    refuse_unsayable(text)
    if not text.isprintable() or not _MEANS_SOMETHING.isdisjoint(text):
        raise ValueError(
            f"{shown(text)} cannot stand in the configuration of an OpenVZ container;"
            ' leave out line ends, control characters, and any of " $ ` \\'
        )
    return f'"{text}"'


CONF = Dialect("vzconf", conf_value)


def parse_conf(text: str) -> dict[str, str]:
    """Key -> value. Raises ValueError naming a line that is neither KEY="value", a comment nor empty."""
    found = {}
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f'{shown(line)} is no line of a container\'s configuration; write KEY="value"')
        found[match[1]] = match[2]
    return found


def netif(devices: Sequence[Device]) -> str:
    """The value of NETIF: devices between semicolons, a bridge only where there is one."""
    rows = [
        (
            ("ifname", d.name),
            ("bridge", d.bridge),
            ("mac", d.mac),
            ("host_ifname", d.host_name),
            ("host_mac", d.host_mac),
        )
        for d in devices
    ]
    return ";".join(",".join(f"{key}={value}" for key, value in row if value) for row in rows)


def parse_netif(value: str) -> list[Device]:
    """Raises ValueError for what is not a device."""
    devices = []
    for text in filter(None, value.split(";")):
        pairs = dict(word.partition("=")[::2] for word in text.split(","))
        if not pairs.get("ifname") or not set(pairs) <= set(DEVICES):
            raise ValueError(f"{shown(text)} in NETIF is no network device; write ifname=eth0,mac=…")
        devices.append(Device(*(pairs.get(key, "") for key in DEVICES)))
    return devices


def disk_lines(size: int) -> str:
    """DISKSPACE, in KiB, and DISKINODES, of a disk of `size` bytes; soft and hard limit are the same."""
    kib, inodes = -(-size // 1024), max(size // INODES_FOR, FEWEST_INODES)
    return f'DISKSPACE="{kib}:{kib}"\nDISKINODES="{inodes}:{inodes}"\n'


def default_size(content: int) -> int:
    """Bytes, whole MiB, of a disk for so many bytes of content."""
    mib = 1 << 20
    return (int(content * CONTENT_FACTOR) + CONTENT_ROOM + mib - 1) // mib * mib


def disk_size(values: Mapping[str, str]) -> int | None:
    """Bytes that DISKSPACE grants, None where it does not stand. Raises ValueError."""
    if "DISKSPACE" not in values:
        return None
    return int(values["DISKSPACE"].partition(":")[2]) * 1024
