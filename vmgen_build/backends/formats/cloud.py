"""cloud: one compressed qcow2 with cloud-init, for OpenStack and whoever gives a machine a seed (NoCloud, ConfigDrive).

Nothing of it is the format's own but the form: the serial console, DHCP, a root that grows and identifiers that are
made at the first boot are those of every machine. cloud-init finds its source itself (ds-identify), and rests without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineInOneFile
from vmgen_build.backends.machines.wanted import missing_packages, unused_cds, whole_machine
from vmgen_build.errors import Problem
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.host.files import Written

PACKAGE = "cloud-init"
WHY = "--format cloud: a cloud sets the machine up by cloud-init, which the recipe does not install"
NO_CDS = "--format cloud: whoever runs the image gives the machine its CD drives"


class Cloud(MachineInOneFile):
    name: ClassVar[str] = "cloud"
    about: ClassVar[str] = "OpenStack, NoCloud: with cloud-init"
    backends: ClassVar[tuple[str, ...]] = ("kvm",)
    endings: ClassVar[tuple[str, ...]] = (".qcow2",)
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("qemu-img", "writes qcow2"),
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        how = "--disk-format qcow2 --container-format bare"
        return (f"openstack image create {shown(machine)} --file {shown(files[0])} {how}",)

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        return [*_problems(recipe, plan), *unused_cds(recipe, NO_CDS)]

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.disk.convert import convert

        (disk,) = vmdisks.machine_disks(plan, result, bus)
        written = convert(disk, out / f"{plan.name}-cloud-{plan.arch}.qcow2", "qcow2", compressed=True)
        disk.path.unlink()
        return (written,)


def _problems(recipe: Recipe, plan: Plan) -> Iterator[Problem]:
    whole = whole_machine(recipe, Cloud.name)
    if isinstance(whole, Problem):
        yield whole
        return
    yield from missing_packages(recipe, plan, [PACKAGE], WHY)
    further = vmdisks.machine_in(plan.build_recipe).drives[1:]
    if further:
        text = "--format cloud: an image for clouds is one disk; take this one out, or take --format qcow2"
        disk = recipe.hardware.hdds.get(further[0].name)
        where = disk.where if disk is not None else recipe.hardware.at("base")
        yield Problem(where, f"[hardware] {further[0].name}", text, code="format")


FORMAT = Cloud()
