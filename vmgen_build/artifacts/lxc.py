"""The configuration file of an lxc container (lxc.container.conf(5)): values for it, and the one that verify boots by.

A line is `key = value`; blanks around both are dropped, then one pair of quotes around the value; a line that begins
with # is a comment; nothing is escaped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

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


def throwaway(entries: Iterable[ENTRY], controllers: Collection[str], own: Iterable[ENTRY]) -> str:
    """The configuration that boots a copy of the artifact in a worker's namespaces.

    controllers: those of cgroup v2 that the host offers; limits of others, and of v1, are left out. The place of the
    root and of the logs, and the host's side of the network, are `own`.
    """
    replaced = ("lxc.rootfs.", "lxc.apparmor.", "lxc.cgroup.", "lxc.console.", "lxc.log.")

    def stays(key: str) -> bool:
        if key.startswith("lxc.cgroup2."):
            controller = key.split(".")[2]
            return controller == "devices" or controller in controllers
        return not key.startswith(replaced)

    lines = [entry for entry in entries if stays(entry[0])]
    lines += [(f"lxc.net.{nic.index}.link", nic.bridge) for nic in nics_of(lines)]
    return "".join(f"{key} = {value}\n" for key, value in [*lines, *own])


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
