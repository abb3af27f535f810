"""The lxc backend: a tarball that LXC takes.

It holds metadata.yaml and templates/ (incus's image format, "unified tarball"), config (lxc.container.conf(5)) and
rootfs/. formats/lxd.py makes the image without LXC's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import TAR_ENDINGS
from vmgen_build.artifacts.lxc import ARCHITECTURES, LXC, PAGE
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import UNPACK, Format, PackOptions, progress_on, shown
from vmgen_build.backends.lxc.image import FILE, image_config
from vmgen_build.backends.lxc.incus import INSTANCE, YAML, Described, instance, limits_of, metadata
from vmgen_build.backends.vagrant.texts import vagrantfile_part
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.context import host_name
from vmgen_build.plan.model import Part, Plan, Probe
from vmgen_build.plan.network import links
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.events import Bus
    from vmgen_build.host.files import Written

PACKING = (
    needed("tar", "packs the image"),
    needed("zstd", "compresses the image"),
)

BRIDGES = {"nat": "lxcbr0", "veth": "lxcbr0", "venet": "lxcbr0", "bridged": "br0", "hostonly": ""}
"""Type of an adapter -> the bridge that it joins by default; "": none, the host's end stays free."""

EMPTY = ("dev", "proc", "sys", "run")
"""Folders that the running container mounts something on; what the root has in them stays out. Unprivileged users could
not unpack device nodes."""


@dataclass(frozen=True, slots=True)
class LxcDevice:
    """A network device, as templates/lxc/config.j2 writes it; bridge "" and hw_addr "" stand for none."""

    name: str
    bridge: str
    hw_addr: str
    connected: bool


class LxcTarball(Format):
    name: ClassVar[str] = "tar"
    about: ClassVar[str] = "LXC"
    endings: ClassVar[tuple[str, ...]] = TAR_ENDINGS
    requirements: ClassVar[tuple[Requirement, ...]] = PACKING
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    mark: ClassVar[str] = "lxc"
    """In the file's name."""
    texts: ClassVar[tuple[str, ...]] = ("metadata.yaml", "config")
    """Files of the build recipe that stand before the root."""

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        folder = shown(f"/var/lib/lxc/{machine}")
        return (
            f"mkdir -p {folder} && {UNPACK} -C {folder} -xf {shown(files[0])}",
            f"lxc-start -n {shown(machine)} && lxc-attach -n {shown(machine)}",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.compression import parse_compression
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.artifacts.tarball import TarContent, write_tarball
        from vmgen_build.backends.lxc.instance import root_templates

        compression, tree = parse_compression(options.compression), tree_of(result, f"an {self.mark} image")
        goal = out / f"{plan.name}-{self.mark}-{plan.arch}.tar{compression.suffix}"
        texts = {name: plan.build_recipe[name] for name in self.texts} | root_templates(tree.root)
        content = TarContent(tree.root, "rootfs", plan.epoch, EMPTY, texts)
        return (write_tarball(goal, content, compression, progress=progress_on(bus), scratch=tree.scratch),)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.lxc import booted

        return booted(artifact, boot)


class LxcBackend(Backend):
    name: ClassVar[str] = "lxc"
    formats: ClassVar[tuple[Format, ...]] = (LxcTarball(),)

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        override = override_folder(recipe.folder, templates)
        hardware = recipe.hardware
        config = Renderer(override, LXC).render(
            "lxc/config.j2",
            name=recipe.name,
            hostname=host_name(recipe),
            system=hardware.os.name,
            arch=ARCHITECTURES.get(hardware.os.arch, hardware.os.arch),
            links=_links(recipe),
            ram=hardware.ram or 0,
            cpus=hardware.num_cpu or 0,
        )
        limits = limits_of(hardware.num_cpu, hardware.ram)
        described = Described(name=recipe.name, system=hardware.os, epoch=epoch, limits=limits)
        return Part(
            build_recipe={
                "metadata.yaml": metadata(described, Renderer(override, YAML)),
                "config": config,
                INSTANCE: instance(described.limits, Renderer(override, YAML)),
                FILE: image_config(recipe),
                **vagrantfile_part(recipe, "lxc", templates),
            },
            probes=tuple(_probes(recipe, Renderer(override))),
        )


def _links(recipe: Recipe) -> list[LxcDevice]:
    adapters = recipe.hardware.eths
    found = []
    for link in links(recipe):
        adapter = adapters.get(link.name)
        bridge = (adapter.bridge or BRIDGES[adapter.type]) if adapter else BRIDGES["nat"]
        found.append(LxcDevice(link.name, bridge, (adapter.hw_addr if adapter else None) or "", link.connected))
    return found


def _probes(recipe: Recipe, renderer: Renderer) -> list[Probe]:
    """What the container's own configuration sets, as it is seen from inside."""
    hardware, probes = recipe.hardware, []
    if hardware.ram:
        limit = str(hardware.ram // PAGE * PAGE)
        script = renderer.sh("lxc/probes/limit.sh.j2", file="memory.max", limit=limit)
        probes.append(Probe("ram", "[hardware] ram", script, limit))
    if hardware.num_cpu:
        limit = f"{hardware.num_cpu * 100000} 100000"
        script = renderer.sh("lxc/probes/limit.sh.j2", file="cpu.max", limit=limit)
        probes.append(Probe("num_cpu", "[hardware] num_cpu", script, limit))
    for link in _links(recipe):
        if link.hw_addr:
            script = renderer.sh("lxc/probes/hw_addr.sh.j2", link=link.name, address=link.hw_addr)
            probes.append(Probe(f"{link.name}-hw-addr", f"[hardware] {link.name}: hw_addr", script, link.hw_addr))
    return probes


BACKEND = LxcBackend()
