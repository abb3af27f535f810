"""The vmware backend: an OVA for Workstation, Fusion, ESXi, vCenter and VirtualBox, made without any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from vmgen_build.artifacts.result import Disk, Result
from vmgen_build.backends.base import Backend, PackOptions
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.boots.model import Booted
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.host.files import Written
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.machine import Drive, Machine, machine_of
from vmgen_build.plan.model import Part, Plan
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe


class VmwareBackend(Backend):
    name: ClassVar[str] = "vmware"
    formats: ClassVar[tuple[str, ...]] = ("ova", "vmdk", "qcow2", "raw")
    requirements: ClassVar[tuple[Requirement, ...]] = vmdisks.DISK_REQUIREMENTS
    boot_requirements: ClassVar[tuple[Requirement, ...]] = vmdisks.BOOT_REQUIREMENTS
    boot_timeout: ClassVar[float] = vmdisks.BOOT_TIMEOUT

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> Part:
        from vmgen_build.artifacts.ovf.write import draft
        from vmgen_build.backends.machines.cds import images_part
        from vmgen_build.backends.machines.guest import vm_packages, vm_probes, vm_steps
        from vmgen_build.backends.vmware.version import refuse_newer
        from vmgen_build.plan.text.xml import XML

        override = override_folder(recipe.folder, templates)
        machine, renderer = machine_of(recipe), guest_renderer(recipe, templates)
        refuse_newer(recipe, machine)
        return Part(
            packages=vm_packages(recipe, machine, renderer, "vmware"),
            steps=vm_steps(recipe, renderer),
            build_recipe={
                vmdisks.MACHINE: machine.to_json(),
                **images_part(recipe, [drive.file for drive in machine.drives]),
                f"{recipe.name}.ovf": draft(machine, Renderer(override, XML)),
            },
            probes=vm_probes(machine, recipe.hardware.os.family, renderer),
        )

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        return vmdisks.needs(plan)

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        disks = vmdisks.raw_disks(plan, result, bus)
        if options.format != "ova":
            return vmdisks.pack_disks(disks, out, plan.name, options.format, bus)
        return (_ova(plan, disks, out / f"{plan.name}.ova", bus),)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        from vmgen_build.artifacts.ova import check_ova

        if artifact.suffix != ".ova":
            return []
        findings = check_ova(artifact).findings
        outcome, found = ("fails", "; ".join(findings)) if findings else ("holds", "order, form, digests, sizes, disks")
        return [ProbeDone(probe="ova", setting="the form of the OVA", outcome=outcome, found=found)]

    def boot(
        self, artifact: Path, manifest: Mapping[str, object], bus: Bus, *, scratch: Path, timeout: float
    ) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        if artifact.suffix == ".ova":
            disks = _extracted(artifact, machine, scratch)
        else:
            disks = vmdisks.copies(artifact, manifest, scratch)
        return vmdisks.booted_files(machine, disks, bus, scratch=scratch, timeout=timeout)


def _ova(plan: Plan, disks: Sequence[Disk], goal: Path, bus: Bus) -> Written:
    from vmgen_build.artifacts.ova import write_ova
    from vmgen_build.artifacts.ovf.write import OvfFile, completed
    from vmgen_build.artifacts.vmdk import write_vmdk
    from vmgen_build.backends.machines.cds import images_of, unchanged

    machine = vmdisks.machine_in(plan.build_recipe)
    files: list[Written] = []
    described: list[OvfFile] = []
    for drive, raw in zip(machine.drives, (disk.path for disk in disks), strict=True):
        capacity = raw.stat().st_size
        written = write_vmdk(raw, raw.with_name(drive.file), adapter=_adapter(drive), progress=vmdisks.teller(bus))
        raw.unlink()
        files.append(written)
        described.append(OvfFile(drive.file, written.size, capacity))
    for image in (unchanged(plan, image) for image in images_of(plan.build_recipe)):
        files.append(image)
        described.append(OvfFile(image.path.name, image.size))
    return write_ova(goal, completed(plan.build_recipe[f"{plan.name}.ovf"], described), files, epoch=plan.epoch)


def _adapter(drive: Drive) -> str:
    """What the VMDK's own descriptor says of its bus."""
    return "ide" if drive.bus == "ide" else "lsilogic"


def _extracted(ova: Path, machine: Machine, scratch: Path) -> list[Path]:
    """The machine's disks as raw images. Raises BuildError where the OVA is not sound."""
    from vmgen_build.artifacts.ova import check_ova

    content = check_ova(ova, folder=scratch)
    if content.findings:
        raise BuildError(f"{ova} is not sound: {'; '.join(content.findings)}; build the image anew")
    return [content.raws[drive.file] for drive in machine.drives]


BACKEND = VmwareBackend()
