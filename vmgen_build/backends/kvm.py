"""The kvm backend: the same disks as vmware's, as qcow2, and the domain that libvirt defines for them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from vmgen_build.artifacts.files import sha256_of, write_whole
from vmgen_build.backends import vmdisks
from vmgen_build.backends.base import Backend, BackendPart, Booted, Packed, PackOptions, Requirement
from vmgen_build.events import Bus
from vmgen_build.plan.machine import machine_of
from vmgen_build.plan.model import Plan
from vmgen_build.plan.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe

DOMAIN = "domain.xml"


class KvmBackend(Backend):
    name: ClassVar[str] = "kvm"
    formats: ClassVar[tuple[str, ...]] = ("qcow2",)
    requirements: ClassVar[tuple[Requirement, ...]] = (
        Requirement("mmdebstrap", "mmdebstrap", "makes a Debian base"),
        Requirement("lxc-execute", "lxc", "runs the containers of a build"),
        *vmdisks.DISK_REQUIREMENTS,
        Requirement("qemu-img", "qemu-utils", "writes qcow2"),
    )
    boot_requirements: ClassVar[tuple[Requirement, ...]] = vmdisks.BOOT_REQUIREMENTS
    boot_timeout: ClassVar[float] = vmdisks.BOOT_TIMEOUT

    def part(self, recipe: Recipe, templates: Path | None, epoch: int = 0) -> BackendPart:
        from vmgen_build.backends.libvirtxml import domain
        from vmgen_build.backends.vmcds import images_part
        from vmgen_build.backends.vmguest import vm_probes, vm_steps
        from vmgen_build.backends.xmltext import XML

        override = override_folder(recipe.folder, templates)
        machine, renderer = machine_of(recipe), Renderer(override)
        return BackendPart(
            steps=vm_steps(recipe, machine, renderer, ("qemu-guest-agent",)),
            build_recipe={
                vmdisks.MACHINE: machine.to_json(),
                **images_part(recipe),
                DOMAIN: domain(machine, Renderer(override, XML)),
            },
            probes=vm_probes(machine, renderer),
        )

    def needs(self, plan: Plan) -> tuple[Requirement, ...]:
        return vmdisks.needs(plan)

    def pack(self, plan: Plan, root: Path, out: Path, options: PackOptions, bus: Bus) -> tuple[Packed, ...]:
        stem = f"{plan.name}-kvm-{plan.arch}"
        disks = vmdisks.pack_disks(vmdisks.raw_images(plan, root, bus), out, stem, options.format, bus)
        cds = _cds(plan, out, stem)
        domain = out / f"{stem}.xml"
        write_whole(domain, plan.build_recipe[DOMAIN])
        return (*disks, *cds, Packed(domain, domain.stat().st_size, sha256_of(domain)))

    def boot(
        self, artifact: Path, manifest: Mapping[str, object], bus: Bus, *, scratch: Path, timeout: float
    ) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        disks = vmdisks.copies(artifact, manifest, scratch)
        return vmdisks.booted_files(machine, disks, bus, scratch=scratch, timeout=timeout)


def _cds(plan: Plan, out: Path, stem: str) -> tuple[Packed, ...]:
    """Copies of the CD images, under the names that the domain gives them."""
    from vmgen_build.backends.vmcds import copied, images_of

    drives = vmdisks.machine_in(plan.build_recipe).cds
    images = [image for image in images_of(plan.build_recipe) if drives[image.drive].connected]
    written = [copied(plan, image, out / vmdisks.cd_name(stem, image.drive)) for image in images]
    return tuple(Packed(file.path, file.size, file.sha256) for file in written)
