"""The configuration file of an lxc container (lxc.container.conf(5)): values for it, and the one that verify boots by.

A line is `key = value`; blanks around both are dropped, then one pair of quotes around the value; a line that begins
with # is a comment; nothing is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from vmgen_build.plan.text.quote import Dialect, refuse_unsayable, shown


def lxc_value(text: str) -> str:
    """The text as (part of) a value. Raises ValueError for what the file cannot hold as it is."""
    refuse_unsayable(text)
    if not text or text != text.strip() or not text.isprintable() or text[0] in "\"'":
        raise ValueError(
            f"{shown(text)} cannot stand in an lxc configuration;"
            " leave out line ends, control characters, blanks at its ends, and a quote at its start"
        )
    return text


LXC = Dialect("lxc", lxc_value)

ARCHITECTURES = {
    "amd64": "x86_64",
    "i386": "i686",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""Debian's words -> the kernel's, which lxc.arch and incus take."""

PAGE = 65536
"""The largest page size in use: the kernel rounds a memory limit down to whole pages."""

ENTRY = tuple[str, str]
"""Key and value."""


@dataclass(frozen=True, slots=True)
class BridgedNic:
    """A network device of a container: its number in lxc.net.N, its name in the guest, the bridge that it joins."""

    index: int
    name: str
    bridge: str


def parse_config(text: str) -> list[ENTRY]:
    """The entries in order. Raises ValueError naming a line that is none."""
    entries = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"{shown(line)} is no line of an lxc configuration; write key = value")
        entries.append((key.strip(), _unquoted(value.strip())))
    return entries


def nics_of(entries: Iterable[ENTRY]) -> list[BridgedNic]:
    """The network devices, in the order of their numbers. One without a bridge of its own gets vmgenN, so that verify
    reaches it too."""
    found: dict[int, dict[str, str]] = {}
    for key, value in entries:
        words = key.split(".")
        if words[:2] == ["lxc", "net"] and len(words) == 4 and words[2].isdigit():
            found.setdefault(int(words[2]), {})[words[3]] = value
    return [
        BridgedNic(i, keys.get("name", f"eth{i}"), keys.get("link", f"vmgen{i}")) for i, keys in sorted(found.items())
    ]


def taken_over(entries: Iterable[ENTRY]) -> list[ENTRY]:
    """Of a foreign configuration what a copy of the artifact is booted with: its name, its processor, its network and
    its limits. All else is left out: hooks, mounts, includes, the root's place, logs, capabilities.

    Raises ValueError naming an entry of those whose value is none for it.
    """
    found = []
    for key, value in entries:
        for known, check, what in _taken():
            if known.fullmatch(key):
                if not _holds(check, value):
                    raise ValueError(f"{key} = {shown(value)}: write {what}")
                found.append((key, value))
    return found


def for_this_host(entries: Iterable[ENTRY], controllers: Collection[str]) -> list[ENTRY]:
    """What taken_over gave, with a bridge for each network device, and without limits that this host cannot set.

    controllers: those of cgroup v2 that the host offers.
    """
    lines = [(k, v) for k, v in entries if not k.startswith("lxc.cgroup2.") or k.split(".")[2] in controllers]
    return lines + [(f"lxc.net.{nic.index}.link", nic.bridge) for nic in nics_of(lines)]


def config_text(entries: Iterable[ENTRY]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in entries)


def _holds(check: Callable[[str], object], value: str) -> bool:
    try:
        return bool(check(value)) and value.isascii() and "%" not in value
    except ValueError:
        return False


def _key(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(".", r"\.").replace("N", "[0-9]{1,2}"), re.ASCII)


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.ASCII).fullmatch


@cache
def _taken() -> tuple[tuple[re.Pattern[str], Callable[[str], object], str], ...]:
    """Keys (lxc.container.conf(5)), what their values are checked by, and what to write."""
    device = _like(r"(?!\.\.?$)[A-Za-z0-9_.-]{1,15}")
    return (
        (_key("lxc.arch"), _like(r"[a-z0-9_]{1,16}"), "an architecture, as x86_64"),
        (_key("lxc.uts.name"), _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), "a host name"),
        (_key("lxc.net.N.type"), _like("veth|empty"), "veth or empty: verify makes no other network devices"),
        (_key("lxc.net.N.name"), device, "the name of a network device, as eth0"),
        (_key("lxc.net.N.link"), device, "the name of a bridge, as lxcbr0"),
        (_key("lxc.net.N.hwaddr"), _like("(?:[0-9A-Fa-fx]{2}:){5}[0-9A-Fa-fx]{2}"), "six pairs of hexadecimal digits"),
        (_key("lxc.net.N.flags"), _like("up"), "up"),
        (_key("lxc.net.N.mtu"), _like("[0-9]{2,5}"), "a number of bytes"),
        (_key("lxc.net.N.ipv4.address"), IPv4Interface, "an IPv4 address, as 192.0.2.7/24"),
        (_key("lxc.net.N.ipv6.address"), IPv6Interface, "an IPv6 address, as 2001:db8::7/64"),
        (_key("lxc.net.N.ipv4.gateway"), lambda text: text == "dev" or IPv4Address(text), "an IPv4 address, or dev"),
        (_key("lxc.net.N.ipv6.gateway"), lambda text: text == "dev" or IPv6Address(text), "an IPv6 address, or dev"),
        (_key("lxc.cgroup2.memory.max"), _like("[0-9]{1,18}"), "a number of bytes"),
        (_key("lxc.cgroup2.cpu.max"), _like("[0-9]{1,12} [0-9]{1,12}"), "two numbers of microseconds"),
    )


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
