"""oci: an image for podman, docker, skopeo and registries, each step a layer of its own, which pulls share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, progress_on, shown
from vmgen_build.backends.lxc.backend import EMPTY
from vmgen_build.backends.lxc.image import FILE
from vmgen_build.backends.lxc.root import PlainRoot, entries_of
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import OciImage
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.oci import ImageLayer
    from vmgen_build.artifacts.result import Result, Tree
    from vmgen_build.boots import tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class Oci(PlainRoot):
    name: ClassVar[str] = "oci"
    about: ClassVar[str] = "podman, docker, skopeo, registries"
    endings: ClassVar[tuple[str, ...]] = (".oci.tar",)
    requirements: ClassVar[tuple[Requirement, ...]] = (needed("tar", "packs the image"),)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        name = shown(machine)
        return (
            f"podman load -i {shown(files[0])}",
            f"podman run -d --systemd=always --name {name} localhost/{name}",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.oci import ImageText, write_oci
        from vmgen_build.artifacts.result import tree_of

        found = tree_of(result, "an OCI image")
        text = ImageText(plan.name, json.loads(plan.build_recipe[FILE]), EMPTY, plan.epoch)
        goal = out / f"{plan.name}-{plan.arch}.oci.tar"
        return (write_oci(goal, _layers(plan, found), text, found.scratch, progress_on(bus)),)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.compression import Compression
        from vmgen_build.artifacts.tarball import TarContent, write_tarball
        from vmgen_build.bases.oci.unpack import unpack_image
        from vmgen_build.boots.lxc import booted_from
        from vmgen_build.host.files import sha256_of
        from vmgen_build.host.remove import remove_tree

        def content(place: tree.Tree) -> list[ENTRY]:
            root, plain = boot.scratch / "image/root", boot.scratch / "root.tar"
            image = OciImage(artifact, sha256_of(artifact), str(manifest.get("arch")))
            unpack_image(image, boot.scratch, root)
            write_tarball(plain, TarContent(root, ".", 0, EMPTY), Compression("none", 0), scratch=boot.scratch)
            remove_tree(root)
            place.unpack(plain, "rootfs")
            plain.unlink()
            return entries_of(manifest)

        return booted_from(content, boot)


def _layers(plan: Plan, content: Tree) -> list[ImageLayer]:
    """Each with what made it; the whole root as one where it is not known what it is made of."""
    from vmgen_build.artifacts.oci import ImageLayer

    titles = [stage.title for stage in plan.stages]
    if len(titles) != len(content.layers):
        return [ImageLayer(content.root, plan.name)]
    return [ImageLayer(folder, title) for folder, title in zip(content.layers, titles, strict=True)]


FORMAT = Oci()
