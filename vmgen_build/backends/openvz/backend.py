"""The openvz backend: an OS template for OpenVZ's cache and a container's configuration, in one tar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.lxc import ARCHITECTURES
from vmgen_build.artifacts.openvz import config as openvzconfig
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format, PackOptions, progress_on, shown
from vmgen_build.backends.openvz import guest as openvzguest
from vmgen_build.backends.openvz import text as openvztext
from vmgen_build.backends.openvz.net import net_of
from vmgen_build.backends.room import Room
from vmgen_build.boots.requirements import CONTAINER
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.text.render import override_folder
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.text import size as in_words

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result, Tree
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

EMPTY = ("proc", "sys", "run")
"""Folders whose content stays out of the OS template. /dev keeps its few nodes: OpenVZ mounts nothing there."""


class OpenvzBundle(Format):
    name: ClassVar[str] = "tar"
    about: ClassVar[str] = "OpenVZ, Virtuozzo"
    endings: ClassVar[tuple[str, ...]] = (".tar",)
    requirements: ClassVar[tuple[Requirement, ...]] = (needed("tar", "packs the OS template"),)
    boot_requirements: ClassVar[tuple[Requirement, ...]] = CONTAINER

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"tar -xf {shown(files[0])} && less INSTALL",)

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.openvz.bundle import write_bundle
        from vmgen_build.artifacts.result import tree_of

        tree = tree_of(result, "an OS template for OpenVZ")
        texts = _with_disk(plan, tree.root)
        os_template = _os_template(plan, tree, bus)
        try:
            return (write_bundle(out / f"{plan.name}-openvz-{plan.arch}.tar", texts, os_template, epoch=plan.epoch),)
        finally:
            os_template.path.unlink(missing_ok=True)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        from vmgen_build.artifacts.openvz.bundle import bundled_os_template_findings, conf_findings, read_bundle

        try:
            bundle = read_bundle(artifact)
            conf = bundle.conf
        except BuildError as error:
            return [_checked("bundle", "the bundle", [str(error)])]
        wrong = conf_findings(conf, bundle.os_template), bundled_os_template_findings(artifact, bundle.os_template)
        return [
            _checked("bundle", "the bundle", [], f"{len(bundle.texts) + 1} files as its SHA256SUMS says"),
            _checked("conf", "the container's configuration", wrong[0], f"{len(conf)} values"),
            _checked("template", "the OS template", wrong[1], bundle.os_template),
        ]

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.openvz import booted_bundle

        arch = str(manifest.get("arch"))
        return booted_bundle(artifact, ARCHITECTURES.get(arch, arch), boot)


class OpenvzBackend(Backend):
    name: ClassVar[str] = "openvz"
    formats: ClassVar[tuple[Format, ...]] = (OpenvzBundle(),)
    prefers: ClassVar[tuple[str, ...]] = ("vzctl",)

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        override = override_folder(recipe.folder, templates)
        number = openvztext.number_of(recipe)
        net, renderer = net_of(recipe, number), guest_renderer(recipe, templates)
        ram, _ = openvztext.memory(recipe)
        return Part(
            packages=openvzguest.packages(recipe, renderer),
            steps=openvzguest.steps(recipe, net, renderer),
            build_recipe=openvztext.texts(recipe, net, number, override),
            probes=tuple(openvzguest.probes(recipe, net, ram, renderer)),
            without=openvzguest.without(net),
        )

    def room(self, recipe: Recipe) -> Room | None:
        disk = next(iter(recipe.hardware.hdds.values()), None)
        if disk is None or disk.size is None:
            return None
        return Room(
            size=disk.size,
            given=disk.size,
            where=disk.at("size"),
            option=place(("hardware", "hdds", disk.name), "size"),
            usual=openvzconfig.default_size,
            or_else=", or none",
        )


def _checked(probe: str, setting: str, findings: list[str], sound: str = "") -> ProbeDone:
    outcome = "fails" if findings else "holds"
    return ProbeDone(probe=probe, setting=setting, outcome=outcome, found="; ".join(findings) or sound)


def _os_template(plan: Plan, tree: Tree, bus: Bus) -> Written:
    """In the tree's scratch folder."""
    from vmgen_build.artifacts.gzipped import gzip_members
    from vmgen_build.artifacts.tarball import TarContent, write_tarball

    goal = tree.scratch / f"{openvztext.os_template_name(plan.os, plan.arch, plan.name)}.tar.gz"
    content = TarContent(tree.root, ".", plan.epoch, EMPTY)
    return write_tarball(goal, content, gzip_members, progress=progress_on(bus), scratch=tree.scratch)


def _with_disk(plan: Plan, root: Path) -> dict[str, str]:
    """The texts, the configuration's disk among them, which the content decides where the recipe gives it no size.

    Raises BuildError where the content does not fit.
    """
    from vmgen_build.artifacts.openvz.bundle import content_size

    texts = dict(plan.build_recipe)
    name = openvztext.conf_name(texts)
    content, asked = content_size(root), openvzconfig.disk_size(openvzconfig.parse_conf(texts[name]))
    if asked is None:
        texts[name] += openvzconfig.disk_lines(openvzconfig.default_size(content))
    elif content > asked:
        raise BuildError(
            f"[hardware] hdds: the disk of {in_words(asked)} is too small for its content of {in_words(content)};"
            " give it a larger size, or none"
        )
    return texts


BACKEND = OpenvzBackend()
