"""A container's plain root file system, with nothing around it: packed, and booted as the lxc image is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import TAR_ENDINGS, Compression, parse_compression
from vmgen_build.backends.format import Format, PackOptions, progress_on
from vmgen_build.backends.lxc.backend import EMPTY, PACKING
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.result import Result, Tree
    from vmgen_build.artifacts.tarball import Encode
    from vmgen_build.boots import tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class PlainRoot(Format):
    """A tar whose top is the root."""

    endings: ClassVar[tuple[str, ...]] = TAR_ENDINGS
    backends: ClassVar[tuple[str, ...]] = ("lxc",)
    requirements: ClassVar[tuple[Requirement, ...]] = PACKING
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.artifacts.tarball import TarContent, write_tarball

        found, (ending, packing) = tree_of(result, f"a {self.name}"), self.packing(options)
        content = TarContent(found.root, ".", plan.epoch, EMPTY, self.texts(plan, found))
        goal = out / f"{self.stem(plan)}.{ending}"
        return (write_tarball(goal, content, packing, progress=progress_on(bus), scratch=found.scratch),)

    def packing(self, options: PackOptions) -> tuple[str, Compression | Encode]:
        """What the file's name ends in, and what compresses it."""
        compression = parse_compression(options.compression)
        return f"tar{compression.suffix}", compression

    def stem(self, plan: Plan) -> str:
        """The file's name without its endings."""
        return f"{plan.name}-{self.name}-{plan.arch}"

    def texts(self, plan: Plan, content: Tree) -> dict[str, str]:
        """Files of the root that only this format has, by their paths."""
        return {}

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.lxc import booted_from

        def content(place: tree.Tree) -> list[ENTRY]:
            place.unpack(artifact, "rootfs")
            return entries_of(manifest)

        return booted_from(content, boot)


def entries_of(manifest: Mapping[str, object]) -> list[ENTRY]:
    """Of the container that the lxc image of the same plan is. Raises BuildError."""
    from vmgen_build.artifacts.lxc import parse_config

    recipe = manifest.get("build_recipe")
    text = recipe.get("config") if isinstance(recipe, Mapping) else None
    try:
        return parse_config(str(text or ""))
    except ValueError as error:
        raise BuildError(f"the manifest's lxc configuration is unusable: {error}; build the image anew") from error
