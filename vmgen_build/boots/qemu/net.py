"""The network around a machine in QEMU: as a container's (boots.network), joined by tap devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.boots.network import IpQuery, ip_entries, set_up
from vmgen_build.errors import BuildError
from vmgen_build.guests.model import Communicator
from vmgen_build.plan.machine import Nic

PATIENCE = 30.0


def joined(nics: Sequence[Nic]) -> list[BridgedNic]:
    """Each interface with its bridge: one for each that the recipe names, and one for each type. Their names are our
    own: a bridge may be called as no interface of the kernel can be."""
    bridges: dict[str, str] = {}
    found = []
    for number, nic in enumerate(nics):
        bridge = bridges.setdefault(f"={nic.bridge}" if nic.bridge else nic.type, f"vmgenbr{len(bridges)}")
        found.append(BridgedNic(number, nic.name, bridge))
    return found


def make_taps(nics: Sequence[BridgedNic]) -> tuple[str, ...]:
    """A tap device for each interface, in its bridge. They end with the worker's network."""
    names = tuple(f"vmgentap{nic.index}" for nic in nics)
    for name, nic in zip(names, nics, strict=True):
        set_up("tuntap", "add", "dev", name, "mode", "tap")
        set_up("link", "set", name, "master", nic.bridge, "up")
    return names


def ip_of(communicator: Communicator) -> IpQuery:
    """ip(8) of the machine itself: words to its answer."""

    def ask(*words: str) -> list[dict[str, Any]]:
        ran = communicator.run(f"ip -json {' '.join(words)}", PATIENCE)
        if ran.code != 0:
            raise BuildError(f"cannot ask the booted machine for its addresses: {ran.out.strip()}")
        return ip_entries(ran.out)

    return ask
