"""A throwaway copy of an OpenVZ bundle, booted under lxc with the settings of its CTID.conf.

No OpenVZ kernel is asked: a venet becomes a device of that name with the addresses and the route that an OpenVZ host
would give it, and a veth one with the configured MAC address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from ipaddress import ip_address
from pathlib import Path

from vmgen_build.artifacts.lxc import ENTRY
from vmgen_build.artifacts.openvz.bundle import read_bundle
from vmgen_build.artifacts.openvz.config import PAGE, VENET, parse_netif
from vmgen_build.boots.lxc import LxcBooted, booted_from
from vmgen_build.boots.model import Boot
from vmgen_build.boots.tree import Tree
from vmgen_build.errors import BuildError

_NUMBER = re.compile("[0-9]{1,12}")


def booted_bundle(artifact: Path, arch: str, boot: Boot) -> AbstractContextManager[LxcBooted]:
    """arch: in the kernel's words. Raises BuildError for a bundle that is not sound, and as boots.lxc does."""

    def content(tree: Tree) -> list[ENTRY]:
        os_template = boot.scratch / "os-template.tar.gz"
        tree.undo.callback(os_template.unlink, missing_ok=True)
        bundle = read_bundle(artifact, os_template)
        try:
            entries = [("lxc.arch", arch), *entries_of(bundle.conf)]
        except ValueError as error:
            raise BuildError(f"{artifact}: its configuration is unusable: {error}; build the bundle anew") from error
        tree.unpack(os_template, "rootfs")
        os_template.unlink()
        return entries

    return booted_from(content, boot)


def entries_of(conf: Mapping[str, str]) -> list[ENTRY]:
    """The lxc configuration that sets what a container's configuration sets; its values are checked as those of an lxc
    image are. Raises ValueError for an address or a device that is none."""
    entries = [("lxc.uts.name", conf["HOSTNAME"])] if "HOSTNAME" in conf else []
    pages = conf.get("PHYSPAGES", "").partition(":")[2]
    if _NUMBER.fullmatch(pages):
        entries.append(("lxc.cgroup2.memory.max", str(int(pages) * PAGE)))
    if _NUMBER.fullmatch(conf.get("CPUS", "")):
        entries.append(("lxc.cgroup2.cpu.max", f"{int(conf['CPUS']) * 100000} 100000"))
    addresses = conf.get("IP_ADDRESS", "").split()
    if addresses:
        entries += _venet(addresses)
    for index, device in enumerate(parse_netif(conf.get("NETIF", "")), 1 if addresses else 0):
        head = f"lxc.net.{index}"
        entries += [(f"{head}.type", "veth"), (f"{head}.name", device.name), (f"{head}.hwaddr", device.mac.lower())]
        entries += [(f"{head}.link", device.bridge)] if device.bridge else []
    return entries


def _venet(addresses: list[str]) -> Iterator[ENTRY]:
    """Routes without a gateway, as an OpenVZ host sets them: whatever is asked for, the host's end answers."""
    yield "lxc.net.0.type", "veth"
    yield "lxc.net.0.name", VENET
    yield "lxc.net.0.flags", "up"
    versions = set()
    for text in addresses:
        address = ip_address(text.partition("/")[0])
        yield f"lxc.net.0.ipv{address.version}.address", f"{address}/{address.max_prefixlen}"
        versions.add(address.version)
    for version in sorted(versions):
        yield f"lxc.net.0.ipv{version}.gateway", "dev"
