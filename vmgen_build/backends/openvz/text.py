"""The files beside the OS template in an OpenVZ bundle: the container's configuration, its mount script, INSTALL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from vmgen_build.artifacts.openvz.config import CONF, PAGE, disk_lines, netif
from vmgen_build.backends.openvz.net import NO_NUMBER, Net, Veth
from vmgen_build.bases.ostemplate import ARCHITECTURES
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.plan.context import host_name
from vmgen_build.plan.network import nameservers
from vmgen_build.plan.text.quote import TEXT
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

DEFAULT_RAM = 1 << 30
"""Bytes, where the recipe names none: vzctl starts no container without a limit of its memory."""

RESERVED, HIGHEST = 100, 2147483644
"""Numbers up to RESERVED are OpenVZ's own; vzctl takes none above HIGHEST."""

INSTALL = "INSTALL"


@dataclass(frozen=True, slots=True)
class Joined:
    """A veth's host end, as templates/openvz/mount.sh.j2 takes it."""

    index: int
    bridge: str
    addresses: list[str]


@dataclass(frozen=True, slots=True)
class PveNet:
    """A network device in Proxmox VE's form (pct(1), --net)."""

    index: int
    value: str


def number_of(recipe: Recipe) -> str:
    """The container's number: vm_id where it is one, else NO_NUMBER. Raises RecipeError for a reserved one."""
    if not recipe.name.isdigit():
        return NO_NUMBER
    number = int(recipe.name)
    if RESERVED < number <= HIGHEST:
        return str(number)
    text = f"OpenVZ numbers its containers from {RESERVED + 1} to {HIGHEST}; give such a number, or a name"
    raise RecipeError(
        [Problem(recipe.hardware.at("vm_id"), "[hardware] vm_id", f"'{recipe.name}': {text}", code="ctid")]
    )


def stem_of(recipe: Recipe, number: str) -> str:
    """What the configuration and the mount script are named after."""
    return recipe.name if number == NO_NUMBER else number


def os_template_name(os: str, arch: str, name: str) -> str:
    """distribution-version-architecture-name; vzctl and importers tell its parts by their hyphens."""
    safe = re.sub(r"[^A-Za-z0-9._]+", "_", name)
    return f"{os}-{ARCHITECTURES.get(arch, arch)}-{safe}"


def memory(recipe: Recipe) -> tuple[int, int]:
    """Bytes of memory and of swap; the swap partitions' sizes where the recipe has any."""
    partitions = chain.from_iterable(disk.partitions.values() for disk in recipe.hardware.hdds.values())
    swap = sum(p.size or 0 for p in partitions if p.fs == "swap")
    return recipe.hardware.ram or DEFAULT_RAM, swap


def disk_of(recipe: Recipe) -> int | None:
    """Bytes of the first disk, None where the recipe gives it no size."""
    return next((disk.size for disk in recipe.hardware.hdds.values()), None)


def texts(recipe: Recipe, net: Net, number: str, override: Path | None) -> dict[str, str]:
    """Name -> text, as the bundle holds them, INSTALL first; see openvzconfig.disk_lines for what may still lack."""
    stem = stem_of(recipe, number)
    found = {INSTALL: _install(recipe, net, number, override), f"{stem}.conf": _conf(recipe, net, number, override)}
    if net.veth:
        found[f"{stem}.mount"] = _mount(net, override)
    return found


def conf_name(build_recipe: Mapping[str, str]) -> str:
    return next(name for name in build_recipe if name.endswith(".conf"))


def _title(recipe: Recipe) -> str:
    system = recipe.hardware.os
    return f"{recipe.name}: {system.distribution} {system.version} ({ARCHITECTURES.get(system.arch, system.arch)})"


def _nameservers(recipe: Recipe) -> list[str]:
    return [str(server) for server in nameservers(recipe)]


def _conf(recipe: Recipe, net: Net, number: str, override: Path | None) -> str:
    ram, swap = memory(recipe)
    size = disk_of(recipe)
    return Renderer(override, CONF).render(
        "openvz/ct.conf.j2",
        title=_title(recipe),
        os_template=os_template_name(recipe.hardware.os.name, recipe.hardware.os.arch, recipe.name),
        name="" if recipe.name.isdigit() else recipe.name,
        hostname=host_name(recipe),
        ram=ram,
        swap=swap,
        cpus=recipe.hardware.num_cpu or 0,
        disk=disk_lines(size) if size else "",
        addresses=net.venet_addresses(),
        nameservers=_nameservers(recipe),
        netif=netif([veth.device(number) for veth in net.veth]),
    )


def _mount(net: Net, override: Path | None) -> str:
    joined = [
        Joined(veth.index, veth.bridge, [str(a.ip) for a in veth.link.addresses if a.version == 4])
        for veth in net.veth
        if veth.link.connected
    ]
    return Renderer(override).sh("openvz/mount.sh.j2", devices=joined)


def _install(recipe: Recipe, net: Net, number: str, override: Path | None) -> str:
    system, stem = recipe.hardware.os, stem_of(recipe, number)
    ram, swap = memory(recipe)
    size = disk_of(recipe)
    pages = (ram + swap) // PAGE
    return Renderer(override, TEXT).render(
        f"openvz/{INSTALL}.j2",
        title=_title(recipe),
        os_template=os_template_name(system.name, system.arch, recipe.name),
        conf=f"{stem}.conf",
        mount=f"{stem}.mount" if net.veth else "",
        number=number,
        hostname=host_name(recipe),
        ram=ram,
        swap=swap,
        privvmpages=f"{pages}:{pages}",
        cpus=recipe.hardware.num_cpu or 0,
        disk=f"{-(-size // 1024)}K:{-(-size // 1024)}K" if size else "",
        gib=-(-size >> 30) if size else 0,
        addresses=net.venet_addresses(),
        nameservers=_nameservers(recipe),
        devices=[veth.device(number) for veth in net.veth],
        pve_arch=system.arch,
        ostype=system.distribution,
        pve_nets=_pve_nets(net),
    )


def _pve_nets(net: Net) -> list[PveNet]:
    """Proxmox VE has no venet: such an adapter becomes a veth that pct configures."""
    found = [PveNet(i, _pve_veth(veth, net)) for i, veth in enumerate(net.veth)]
    for index, link in enumerate(net.venet, len(found)):
        words = [f"name={link.name}", "bridge=vmbr0"]
        for version, key, gateway_key in ((4, "ip", "gw"), (6, "ip6", "gw6")):
            words += [f"{key}={a}" for a in link.of_family(version)[:1]]
            words += [
                f"{gateway_key}={r.gateway}" for r in net.routes if r.link == link and r.gateway.version == version
            ]
        found.append(PveNet(index, ",".join(words)))
    return found


def _pve_veth(veth: Veth, net: Net) -> str:
    words = [f"name={veth.link.name}", f"bridge={veth.bridge or 'vmbr0'}", f"hwaddr={veth.mac.upper()}"]
    if veth.link.dhcp:
        return ",".join([*words, "ip=dhcp"])
    for version, key, gateway_key in ((4, "ip", "gw"), (6, "ip6", "gw6")):
        words += [f"{key}={a}" for a in veth.link.of_family(version)[:1]]
        words += [f"{gateway_key}={r.gateway}" for r in net.veth_routes(veth) if r.gateway.version == version]
    return ",".join(words)
