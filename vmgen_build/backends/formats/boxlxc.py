"""box of the lxc backend: for Vagrant with the provider vagrant-lxc (its BOXES.md)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import Format, PackOptions, progress_on, shown
from vmgen_build.backends.lxc.backend import EMPTY
from vmgen_build.backends.lxc.root import entries_of
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.lxc import ENTRY
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots import tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

ROOT = "rootfs.tar.gz"

_ITS_OWN = ("lxc.net.", "lxc.rootfs.", "lxc.uts.")
"""What vagrant-lxc sets itself."""


class LxcBox(Format):
    name: ClassVar[str] = "box"
    about: ClassVar[str] = "Vagrant with vagrant-lxc"
    endings: ClassVar[tuple[str, ...]] = (".box",)
    backends: ClassVar[tuple[str, ...]] = ("lxc",)
    requirements: ClassVar[tuple[Requirement, ...]] = (needed("tar", "packs the image"),)
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (
            f"vagrant box add --name {shown(machine)} {shown(files[0])}",
            f"vagrant init {shown(machine)} && vagrant up --provider lxc",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.gzipped import gzip_members
        from vmgen_build.artifacts.lxc import config_text, parse_config
        from vmgen_build.artifacts.plaintar import write_files
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.artifacts.tarball import TarContent, write_tarball
        from vmgen_build.backends.vagrant.texts import box_in, small_files

        found = tree_of(result, "a box for vagrant-lxc")
        content = TarContent(found.root, "./rootfs", plan.epoch, EMPTY)
        entries = parse_config(plan.build_recipe["config"])
        config = config_text(entry for entry in entries if not entry[0].startswith(_ITS_OWN))
        small = {**small_files(plan, "lxc", version="1.0.0"), "lxc-config": config.encode()}
        with tempfile.TemporaryDirectory(prefix="vmgen-box-", dir=found.scratch) as folder:
            root = Path(folder) / ROOT
            large = write_tarball(root, content, gzip_members, progress=progress_on(bus), scratch=found.scratch)
            return (write_files(box_in(out, plan, "lxc"), small, {ROOT: large}, epoch=plan.epoch),)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.box import take_out
        from vmgen_build.boots.lxc import booted_from

        def content(place: tree.Tree) -> list[ENTRY]:
            root = boot.scratch / ROOT
            take_out(artifact, {ROOT: root})
            place.unpack(root)
            root.unlink()
            return entries_of(manifest)

        return booted_from(content, boot)


FORMAT = LxcBox()
