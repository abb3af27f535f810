"""The network around a machine in QEMU: as a container's (boots.network), joined by tap devices."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.boots.network import IpQuery, ip_entries, set_up
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.model import Communicator
from vmgen_build.jsontext import Field
from vmgen_build.plan.machine import Nic

PATIENCE = 30.0

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
"""linux/if_tun.h."""


def joined(nics: Sequence[Nic]) -> list[BridgedNic]:
    """Each interface with its bridge: one for each that the recipe names, and one for each type. Their names are our
    own: a bridge may be called as no interface of the kernel can be."""
    bridges: dict[str, str] = {}
    found = []
    for number, nic in enumerate(nics):
        bridge = bridges.setdefault(f"={nic.bridge}" if nic.bridge else nic.type, f"vmgenbr{len(bridges)}")
        found.append(BridgedNic(number, nic.name, bridge))
    return found


@contextmanager
def open_taps(nics: Sequence[BridgedNic]) -> Iterator[tuple[int, ...]]:
    """A tap device for each interface, in its bridge, as an open descriptor; each ends with its descriptor.

    Linux, Documentation/networking/tuntap.rst. Raises HostError.
    """
    with ExitStack() as undo:
        found = []
        for nic in nics:
            name = f"vmgentap{nic.index}"
            try:
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                undo.callback(os.close, fd)
                flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
                fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
            except OSError as error:
                raise HostError(
                    f"cannot make a tap device: /dev/net/tun: {error.strerror}; load the module tun"
                ) from error
            set_up("link", "set", name, "master", nic.bridge, "up")
            found.append(fd)
        yield tuple(found)


def ip_of(communicator: Communicator) -> IpQuery:
    """ip(8) of the machine itself: words to its answer."""

    def ask(*words: str) -> list[Field]:
        ran = communicator.run(f"ip -json {' '.join(words)}", PATIENCE)
        if ran.code != 0:
            raise BuildError(f"cannot ask the booted machine for its addresses: {ran.out.strip()}")
        return ip_entries(ran.out)

    return ask
