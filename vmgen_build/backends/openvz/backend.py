"""The openvz backend: a template for OpenVZ's cache and the configuration of a container made from it, in one tar."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.openvz import config as openvzconfig
from vmgen_build.artifacts.result import Result, tree_of
from vmgen_build.backends.base import Backend, PackOptions
from vmgen_build.backends.lxc.backend import ARCHITECTURES, LxcBackend
from vmgen_build.backends.openvz import guest as openvzguest
from vmgen_build.backends.openvz import text as openvztext
from vmgen_build.backends.openvz.net import net_of
from vmgen_build.boots.model import Booted
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, ProbeDone, StepProgress
from vmgen_build.host.files import Written
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.text.render import override_folder
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.text import size as in_words

if TYPE_CHECKING:
    from vmgen_build.host.files import Written

EMPTY = ("proc", "sys", "run")
"""Folders whose content stays out of the template. /dev keeps its few nodes: OpenVZ mounts nothing there."""


class OpenvzBackend(Backend):
    name: ClassVar[str] = "openvz"
    requirements: ClassVar[tuple[Requirement, ...]] = (Requirement("tar", "tar", "packs the template"),)
    prefers: ClassVar[tuple[str, ...]] = ("vzctl",)
    boot_requirements: ClassVar[tuple[Requirement, ...]] = LxcBackend.boot_requirements

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

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.openvz.bundle import write_bundle

        root = tree_of(result, "a template for OpenVZ").root
        texts = _with_disk(plan, root)
        template = _template(plan, root, bus)
        try:
            return (write_bundle(out / f"{plan.name}-openvz-{plan.arch}.tar", texts, template, epoch=plan.epoch),)
        finally:
            template.path.unlink(missing_ok=True)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        from vmgen_build.artifacts.openvz.bundle import bundled_template_findings, conf_findings, read_bundle

        try:
            bundle = read_bundle(artifact)
            conf = bundle.conf
        except BuildError as error:
            return [_told("bundle", "the bundle", [str(error)])]
        wrong = conf_findings(conf, bundle.template), bundled_template_findings(artifact, bundle.template)
        return [
            _told("bundle", "the bundle", [], f"{len(bundle.texts) + 1} files as its SHA256SUMS says"),
            _told("conf", "the container's configuration", wrong[0], f"{len(conf)} values"),
            _told("template", "the template", wrong[1], bundle.template),
        ]

    def boot(
        self, artifact: Path, manifest: Mapping[str, object], bus: Bus, *, scratch: Path, timeout: float
    ) -> AbstractContextManager[Booted]:
        from vmgen_build.boots.openvz import booted_bundle

        arch = str(manifest.get("arch"))
        return booted_bundle(artifact, ARCHITECTURES.get(arch, arch), bus, scratch=scratch, timeout=timeout)


def _told(probe: str, setting: str, findings: list[str], sound: str = "") -> ProbeDone:
    outcome = "fails" if findings else "holds"
    return ProbeDone(probe=probe, setting=setting, outcome=outcome, found="; ".join(findings) or sound)


def _template(plan: Plan, root: Path, bus: Bus) -> Written:
    """In the scratch folder beside `root`."""
    from vmgen_build.artifacts.gzipped import gzip_members
    from vmgen_build.artifacts.tarball import Content, write_tarball

    return write_tarball(
        root.parent / f"{openvztext.template_name(plan.os, plan.arch, plan.name)}.tar.gz",
        {},
        Content(root, ".", EMPTY),
        epoch=plan.epoch,
        compression=Compression("none", 0),
        progress=lambda done: bus.emit(StepProgress(step="pack", done=done, total=0, unit="bytes")),
        scratch=root.parent,
        encode=gzip_members,
    )


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
