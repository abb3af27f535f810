"""The formats of the vmware backend: an OVA, as our own writer packs it or as a server sent it, or disks alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat, MachineInOneFile
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Disk, Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class Ova(MachineInOneFile):
    name: ClassVar[str] = "ova"
    about: ClassVar[str] = "VMware Workstation, Fusion, ESXi, vCenter, VirtualBox"
    endings: ClassVar[tuple[str, ...]] = (".ova",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (
            f"VBoxManage import {shown(files[0])}",
            f"ovftool {shown(files[0])} vi://USER@VCENTER/DATACENTER/host/ESXI",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.vmware.ova import pack_ova

        return (pack_ova(plan, result, out / f"{plan.name}.ova", bus),)

    def inspect(self, artifact: Path, manifest: Mapping[str, object]) -> list[ProbeDone]:
        from vmgen_build.artifacts.ova import check_ova

        findings = check_ova(artifact).findings
        outcome, found = ("fails", "; ".join(findings)) if findings else ("holds", "order, form, digests, sizes, disks")
        return [ProbeDone(probe="ova", setting="the form of the OVA", outcome=outcome, found=found)]

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        return vmdisks.booted_disks(machine, *_extracted(artifact, machine, boot))


class ExportedOva(Ova):
    name: ClassVar[str] = "ova-as-exported"
    about: ClassVar[str] = "the same, with the disks as a vSphere server sent them"
    as_exported: ClassVar[bool] = True

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.vmware.ova import pack_as_exported

        return (pack_as_exported(plan, result, out / f"{plan.name}.ova", bus),)


class DiskAlone(MachineFormat):
    """Each disk as a file, and the NVRAM where one came home."""

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.vmware.nvram import nvram_beside

        disks = vmdisks.pack_disks(plan, result, out / f"{plan.name}.{options.format}", bus)
        return (*disks, *nvram_beside(result, disks[0].path))

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        from vmgen_build.backends.vmware.nvram import nvram_name

        nvram = nvram_name(artifact)
        there = (nvram,) if artifact.with_name(nvram).is_file() else ()
        return (*super().files_of(artifact, manifest), *there)


class Vmdk(DiskAlone):
    name: ClassVar[str] = "vmdk"
    about: ClassVar[str] = "a disk alone, for VMware's products and VirtualBox"
    endings: ClassVar[tuple[str, ...]] = (".vmdk",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"VBoxManage clonemedium disk {shown(files[0])} {shown(files[0].with_suffix('.vdi'))}",)


class LoneQcow2(DiskAlone):
    name: ClassVar[str] = "qcow2"
    about: ClassVar[str] = "a disk alone, for QEMU"
    endings: ClassVar[tuple[str, ...]] = (".qcow2",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"qemu-system-x86_64 -accel kvm -m 1024 -snapshot {shown(files[0])}",)


class Raw(DiskAlone):
    name: ClassVar[str] = "raw"
    about: ClassVar[str] = "a disk alone, as its bytes are"
    endings: ClassVar[tuple[str, ...]] = (".raw",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"qemu-system-x86_64 -accel kvm -m 1024 -snapshot -drive file={shown(files[0])},format=raw",)


FORMATS = (Ova(), Vmdk(), LoneQcow2(), Raw(), ExportedOva())


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
