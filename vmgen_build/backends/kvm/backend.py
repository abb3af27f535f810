"""The kvm backend: the same disks as vmware's, as qcow2, and the domain that libvirt defines for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format, PackOptions, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat
from vmgen_build.backends.room import Room
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.machine import FILE, Machine, machine_of, own_machine_of
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.setup import has_setup
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

DOMAIN = "domain.xml"


class Qcow2(MachineFormat):
    name: ClassVar[str] = "qcow2"
    about: ClassVar[str] = "libvirt, QEMU, Proxmox VE"
    endings: ClassVar[tuple[str, ...]] = (".qcow2",)
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("qemu-img", "writes qcow2"),
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        domain = next(file for file in files if file.suffix == ".xml")
        others = " ".join(shown(file) for file in files if file != domain)
        return (
            f"cp {others} /var/lib/libvirt/images/",
            f"virsh define {shown(domain)} && virsh start {shown(machine)}",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.machines.cds import copied_cds
        from vmgen_build.host.files import Written, write_whole

        stem = vmdisks.stem_of(plan)
        disks = vmdisks.pack_disks(plan, result, out / f"{stem}.{options.format}", bus)
        cds = copied_cds(plan, out, stem)
        domain = out / f"{stem}.xml"
        write_whole(domain, plan.build_recipe[DOMAIN])
        return (*disks, *cds, Written.of(domain))

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return (*vmdisks.files_of(artifact, manifest), *vmdisks.cds_beside(artifact, manifest))

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        disks = vmdisks.copies(artifact, manifest, boot.scratch)
        return vmdisks.booted_disks(machine, disks, boot, vmdisks.listed_cds(artifact, manifest, boot.scratch))


class KvmBackend(Backend):
    name: ClassVar[str] = "kvm"
    formats: ClassVar[tuple[Format, ...]] = (Qcow2(),)
    whole_machines: ClassVar[bool] = True

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        from vmgen_build.backends.machines.guest import vm_part

        machine = machine_of(recipe)
        return vm_part(recipe, guest_renderer(recipe, templates), "kvm", _build_recipe(recipe, machine, templates))

    def extra_files(self, recipe: Recipe, templates: Path | None) -> Mapping[str, str]:
        if not has_setup(recipe):
            return {}
        from vmgen_build.backends.kvm.domain import disk_files
        from vmgen_build.backends.machines.byhand import INSTALL, guide
        from vmgen_build.backends.machines.setupdrives import with_media

        machine = machine_of(recipe)
        override = override_folder(recipe.folder, templates)
        return {INSTALL: guide(recipe, with_media(recipe, machine), self.name, disk_files(machine), override)}

    def part_of_own(self, recipe: Recipe, templates: Path | None) -> Part:
        from vmgen_build.backends.machines.own import own_part

        machine = own_machine_of(recipe)
        renderer = guest_renderer(recipe, templates)
        return own_part(recipe, renderer, "kvm", _build_recipe(recipe, machine, templates))

    def room(self, recipe: Recipe) -> Room | None:
        from vmgen_build.backends.machines.room import room_of

        return room_of(recipe)

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        return vmdisks.needs(plan)

    def prepared(self, plan: Plan, result: Result, bus: Bus) -> Result:
        return vmdisks.prepared(plan, result, bus)


def _build_recipe(recipe: Recipe, machine: Machine, templates: Path | None) -> dict[str, str]:
    from vmgen_build.backends.kvm.domain import domain
    from vmgen_build.backends.machines.cds import images_part
    from vmgen_build.backends.vagrant.texts import vagrantfile_part
    from vmgen_build.plan.text.xml import XML

    renderer = Renderer(override_folder(recipe.folder, templates), XML)
    return {
        FILE: machine.to_json(),
        **images_part(recipe),
        DOMAIN: domain(machine, renderer),
        **vagrantfile_part(recipe, "libvirt", templates, machine),
    }


BACKEND = KvmBackend()
