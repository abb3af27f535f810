"""The vmware backend: an OVA for Workstation, Fusion, ESXi, vCenter and VirtualBox, made without any of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.room import Room
from vmgen_build.backends.vmware.formats import FORMATS
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.machine import FILE, Machine, machine_of, own_machine_of
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.setup import has_setup
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result


class VmwareBackend(Backend):
    name: ClassVar[str] = "vmware"
    formats: ClassVar[tuple[Format, ...]] = FORMATS
    whole_machines: ClassVar[bool] = True

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

    def prepared(self, plan: Plan, result: Result, bus: Bus) -> Result:
        return vmdisks.prepared(plan, result, bus)


def _build_recipe(recipe: Recipe, machine: Machine, templates: Path | None) -> dict[str, str]:
    from vmgen_build.artifacts.ovf.write import draft
    from vmgen_build.backends.machines.cds import images_part
    from vmgen_build.backends.vagrant.texts import vagrantfile_part
    from vmgen_build.backends.vmware.version import refuse_newer
    from vmgen_build.plan.text.xml import XML

    refuse_newer(recipe, machine)
    return {
        FILE: machine.to_json(),
        **images_part(recipe, [drive.file for drive in machine.drives]),
        f"{recipe.name}.ovf": draft(machine, Renderer(override_folder(recipe.folder, templates), XML)),
        **vagrantfile_part(recipe, "virtualbox", templates, machine),
    }


BACKEND = VmwareBackend()
