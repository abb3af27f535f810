"""lxd: a container's image for Incus and LXD, and an instance's configuration beside it.

A unified tarball as the backend's own ("Image format" of both), but for LXC's configuration: both unpack an image into
the folder of liblxc's container, and liblxc loads a file `config` of it into each instance. Its limits then stand
beside their own, and it includes a file that a host without lxc has not: such an instance does not start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.lxc.backend import LxcTarball
from vmgen_build.backends.lxc.incus import INSTANCE
from vmgen_build.backends.lxc.instance import instance_beside, write_instance
from vmgen_build.backends.lxc.root import entries_of
from vmgen_build.events import Bus
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots import tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class Lxd(LxcTarball):
    name: ClassVar[str] = "lxd"
    about: ClassVar[str] = "Incus, LXD: with the recipe's CPUs and memory"
    backends: ClassVar[tuple[str, ...]] = ("lxc",)
    mark: ClassVar[str] = "lxd"
    texts: ClassVar[tuple[str, ...]] = ("metadata.yaml",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        alias = shown(machine)
        return (
            f"incus image import {shown(files[0])} --alias {alias}",
            f"incus launch {alias} {shown(f'{machine}1')} < {shown(files[1])}",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        (image,) = super().pack(plan, result, out, options, bus)
        return image, write_instance(image.path, plan.build_recipe[INSTANCE])

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return (artifact.name, *instance_beside(artifact))

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.lxc import booted_from

        def content(place: tree.Tree) -> list[ENTRY]:
            place.unpack(artifact)
            return entries_of(manifest)

        return booted_from(content, boot)


FORMAT = Lxd()
