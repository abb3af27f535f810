"""The plain backend: a root file system as a .tar, with nothing around it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format, PackOptions, progress_on
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Part, Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.boots.tree import Tree
    from vmgen_build.host.files import Written

EMPTY = ("dev", "proc", "sys", "run")
ENTRIES = (
    ("lxc.uts.name", "plain"),
    ("lxc.net.0.type", "veth"),
    ("lxc.net.0.name", "eth0"),
)


class PlainTar(Format):
    name: ClassVar[str] = "tar"
    about: ClassVar[str] = "whoever wants a root file system"
    endings: ClassVar[tuple[str, ...]] = (".tar",)
    requirements: ClassVar[tuple[Requirement, ...]] = (Requirement("tar", "tar", "packs the image"),)
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.compression import parse_compression
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.artifacts.tarball import TarContent, write_tarball

        tree = tree_of(result, "a plain tar")
        goal = out / f"{plan.name}-plain-{plan.arch}.tar"
        content = TarContent(tree.root, ".", plan.epoch, EMPTY)
        return (
            write_tarball(goal, content, parse_compression("none"), progress=progress_on(bus), scratch=tree.scratch),
        )

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.lxc import booted_from

        def content(tree: Tree) -> list[ENTRY]:
            tree.unpack(artifact, "rootfs")
            return list(ENTRIES)

        return booted_from(content, boot)


class PlainBackend(Backend):
    name: ClassVar[str] = "plain"
    formats: ClassVar[tuple[Format, ...]] = (PlainTar(),)

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        return Part()


BACKEND = PlainBackend()
