"""lxd: a container's image for Incus and LXD, and an instance's configuration beside it.

A unified tarball as the backend's own ("Image format" of both), but for LXC's configuration: both unpack an image into
the folder of liblxc's container, and liblxc loads a file `config` of it into each instance. Its limits then stand
beside their own, and it includes a file that a host without lxc has not: such an instance does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import TAR_ENDINGS, parse_compression
from vmgen_build.backends.format import Format, PackOptions, progress_on
from vmgen_build.backends.lxc.backend import EMPTY, PACKING
from vmgen_build.backends.lxc.incus import INSTANCE
from vmgen_build.backends.lxc.instance import instance_beside, root_templates, write_instance
from vmgen_build.backends.lxc.root import entries_of
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots import tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class Lxd(Format):
    name: ClassVar[str] = "lxd"
    about: ClassVar[str] = "Incus, LXD: with the recipe's CPUs and memory"
    endings: ClassVar[tuple[str, ...]] = TAR_ENDINGS
    backends: ClassVar[tuple[str, ...]] = ("lxc",)
    requirements: ClassVar[tuple[Requirement, ...]] = PACKING
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.artifacts.tarball import TarContent, write_tarball

        compression, tree = parse_compression(options.compression), tree_of(result, "an image for Incus")
        goal = out / f"{plan.name}-lxd-{plan.arch}.tar{compression.suffix}"
        texts = {"metadata.yaml": plan.build_recipe["metadata.yaml"], **root_templates(tree.root)}
        content = TarContent(tree.root, "rootfs", plan.epoch, EMPTY, texts)
        packed = write_tarball(goal, content, compression, progress=progress_on(bus), scratch=tree.scratch)
        return packed, write_instance(goal, plan.build_recipe[INSTANCE])

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return (artifact.name, *instance_beside(artifact))

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.lxc import booted_from

        def content(place: tree.Tree) -> list[ENTRY]:
            place.unpack(artifact)
            return entries_of(manifest)

        return booted_from(content, boot)


FORMAT = Lxd()
