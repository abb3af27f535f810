"""What booting an artifact needs of this host."""

from __future__ import annotations

from vmgen_build.host.programs import Requirement, needed

_NETWORK = (
    needed("ip", "makes the network that an image is verified in"),
    needed("dnsmasq", "gives addresses to an image that is verified"),
)

CONTAINER: tuple[Requirement, ...] = (needed("lxc-start", "boots the image"), *_NETWORK)

MACHINE: tuple[Requirement, ...] = (
    needed("qemu-system-x86_64", "boots the image"),
    needed("qemu-img", "keeps the image itself unchanged"),
    needed("debugfs", "lets the copy answer questions"),
    *_NETWORK,
)
