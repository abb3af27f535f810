"""box of the kvm backend: for Vagrant with the provider vagrant-libvirt (its documentation, "Boxes").

A machine of one disk is a box of its version 1, one of several of version 2. The disk that it starts from is the first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineInOneFile
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

GIB = 1 << 30


class LibvirtBox(MachineInOneFile):
    name: ClassVar[str] = "box"
    about: ClassVar[str] = "Vagrant with vagrant-libvirt"
    endings: ClassVar[tuple[str, ...]] = (".box",)
    backends: ClassVar[tuple[str, ...]] = ("kvm",)
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("qemu-img", "writes the disks"),
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (
            f"vagrant box add --name {shown(machine)} {shown(files[0])}",
            f"vagrant init {shown(machine)} && vagrant up --provider libvirt",
        )

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.disk.convert import convert
        from vmgen_build.artifacts.disk.qcow2 import check_qcow2
        from vmgen_build.artifacts.gzipped import gzip_members
        from vmgen_build.artifacts.plaintar import write_files
        from vmgen_build.backends.vagrant.texts import box_in, small_files

        disks = {disk.name: disk for disk in vmdisks.machine_disks(plan, result, bus)}
        folder = next(iter(disks.values())).path.parent
        with tempfile.TemporaryDirectory(prefix="vmgen-box-", dir=folder) as name:
            large = {}
            for drive, file in _files(vmdisks.machine_in(plan.build_recipe)).items():
                large[file] = convert(disks[drive], Path(name) / file, "qcow2")
                disks[drive].path.unlink()
            if len(large) > 1:
                small = small_files(plan, "libvirt", disks=[{"path": file} for file in large])
            else:
                with next(iter(large.values())).path.open("rb") as image:
                    size = -(-check_qcow2(image) // GIB)
                small = small_files(plan, "libvirt", format="qcow2", virtual_size=size)
            goal = box_in(out, plan, "libvirt")
            return (write_files(goal, small, large, epoch=plan.epoch, encode=gzip_members),)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.box import take_out
        from vmgen_build.artifacts.disk.convert import opened, raw_of
        from vmgen_build.artifacts.result import Disk

        machine = vmdisks.machine_of_manifest(manifest)
        images = {drive: boot.scratch / f"{drive}.qcow2" for drive in _files(machine)}
        take_out(artifact, {file: images[drive] for drive, file in _files(machine).items()})
        raws = []
        for drive in machine.drives:
            raws.append(Disk(drive.name, boot.scratch / f"{drive.name}.raw"))
            with opened(images[drive.name]) as source:
                raw_of(source, Disk(drive.name, images[drive.name], "qcow2"), raws[-1].path)
            images[drive.name].unlink()
        return vmdisks.booted_disks(machine, raws, boot, {})


def _files(machine: Machine) -> dict[str, str]:
    """Name of a drive -> that of its disk in the box, the one that it starts from first."""
    drives = [drive.name for drive in sorted(machine.drives, key=lambda drive: not drive.boot)]
    return dict(zip(drives, vmdisks.disk_names("box", drives, "img"), strict=True))


FORMAT = LibvirtBox()
