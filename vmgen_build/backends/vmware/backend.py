"""The vmware backend: an OVA for Workstation, Fusion, ESXi, vCenter and VirtualBox, made without any of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.base import Backend, PackOptions
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.room import Room
from vmgen_build.boots.requirements import MACHINE
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.machine import FILE, Machine, machine_of, own_machine_of
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.setup import has_setup
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Disk, Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

AS_EXPORTED = "ova-as-exported"


class VmwareBackend(Backend):
    name: ClassVar[str] = "vmware"
    formats: ClassVar[tuple[str, ...]] = ("ova", "vmdk", "qcow2", "raw", AS_EXPORTED)
    as_exported: ClassVar[frozenset[str]] = frozenset({AS_EXPORTED})
    requirements: ClassVar[tuple[Requirement, ...]] = vmdisks.DISK_REQUIREMENTS
    boot_requirements: ClassVar[tuple[Requirement, ...]] = MACHINE
    whole_machines: ClassVar[bool] = True
    boot_timeout: ClassVar[float] = vmdisks.BOOT_TIMEOUT

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        from vmgen_build.backends.machines.guest import vm_part

        machine = machine_of(recipe)
        return vm_part(recipe, guest_renderer(recipe, templates), "vmware", _build_recipe(recipe, machine, templates))

    def extra_files(self, recipe: Recipe, templates: Path | None) -> Mapping[str, str]:
        from vmgen_build.backends.vmware.text import texts

        machine, override = machine_of(recipe), override_folder(recipe.folder, templates)
        if not has_setup(recipe):
            return texts(machine, override)
        from vmgen_build.backends.machines.byhand import INSTALL, guide
        from vmgen_build.backends.machines.setupdrives import with_media
        from vmgen_build.backends.vmware.text import texts_before_setup

        drives, files = with_media(recipe, machine), [drive.file for drive in machine.drives]
        found = texts_before_setup(drives.machine, drives.first, override)
        return {**found, INSTALL: guide(recipe, drives, self.name, files, override)}

    def part_of_own(self, recipe: Recipe, templates: Path | None) -> Part:
        from vmgen_build.backends.machines.own import own_part

        machine = own_machine_of(recipe)
        renderer = guest_renderer(recipe, templates)
        return own_part(recipe, renderer, "vmware", _build_recipe(recipe, machine, templates))

    def room(self, recipe: Recipe) -> Room | None:
        from vmgen_build.backends.machines.room import room_of

        return room_of(recipe)

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        return vmdisks.needs(plan)

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.vmware.nvram import nvram_beside
        from vmgen_build.backends.vmware.ova import pack_as_exported, pack_ova

        ova = {"ova": pack_ova, AS_EXPORTED: pack_as_exported}.get(options.format)
        if ova is None:
            disks = vmdisks.pack_disks(plan, result, out / f"{plan.name}.{options.format}", bus)
            return (*disks, *nvram_beside(result, disks[0].path))
        return (ova(plan, result, out / f"{plan.name}.ova", bus),)

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        from vmgen_build.backends.vmware.nvram import nvram_name

        if artifact.suffix == ".ova":
            return (artifact.name,)
        nvram = nvram_name(artifact)
        there = (nvram,) if artifact.with_name(nvram).is_file() else ()
        return (*vmdisks.files_of(artifact, manifest), *there)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        from vmgen_build.artifacts.ova import check_ova

        if artifact.suffix != ".ova":
            return []
        findings = check_ova(artifact).findings
        outcome, found = ("fails", "; ".join(findings)) if findings else ("holds", "order, form, digests, sizes, disks")
        return [ProbeDone(probe="ova", setting="the form of the OVA", outcome=outcome, found=found)]

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        if artifact.suffix == ".ova":
            return vmdisks.booted_disks(machine, *_extracted(artifact, machine, boot))
        return vmdisks.booted_disks(machine, vmdisks.copies(artifact, manifest, boot.scratch), boot, {})


def _build_recipe(recipe: Recipe, machine: Machine, templates: Path | None) -> dict[str, str]:
    from vmgen_build.artifacts.ovf.write import draft
    from vmgen_build.backends.machines.cds import images_part
    from vmgen_build.backends.vmware.version import refuse_newer
    from vmgen_build.plan.text.xml import XML

    refuse_newer(recipe, machine)
    return {
        FILE: machine.to_json(),
        **images_part(recipe, [drive.file for drive in machine.drives]),
        f"{recipe.name}.ovf": draft(machine, Renderer(override_folder(recipe.folder, templates), XML)),
    }


def _extracted(ova: Path, machine: Machine, boot: Boot) -> tuple[list[Disk], Boot, dict[int, Path]]:
    """The machine's disks as raw images, and the images in its CD drives. Raises BuildError where the OVA is not sound,
    or is not this machine's."""
    from vmgen_build.artifacts.ova import check_ova
    from vmgen_build.artifacts.ova.tar import opened_member
    from vmgen_build.artifacts.result import Disk

    content = check_ova(ova, folder=boot.scratch)
    if content.findings:
        raise BuildError(f"{ova} is not sound: {'; '.join(content.findings)}; build the image anew")
    if lacking := [drive.file for drive in machine.drives if drive.file not in content.raws]:
        raise BuildError(
            f"{ova} lacks disks of the machine that was asked for: {', '.join(lacking)};"
            " ask by the recipe or manifest that it was made by, or build it anew"
        )
    members = {member.name: member for member in content.members if member.name not in content.raws}
    cds = {}
    for number, cd in enumerate(machine.cds):
        member = members.get(cd.file) if cd.connected and cd.file else None
        if member is not None:
            cds[number] = boot.scratch / f"cd{number}.iso"
            with opened_member(ova, member) as source:
                vmdisks.copy_to(source, cds[number])
    return [Disk(drive.name, content.raws[drive.file]) for drive in machine.drives], boot, cds


BACKEND = VmwareBackend()
