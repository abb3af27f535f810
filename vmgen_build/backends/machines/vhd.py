"""A machine's disks as Hyper-V has them, and the script that makes the machine there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.partitioning import whole_mib
from vmgen_build.text import size as in_words

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Disk, Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class HyperVDisks(MachineFormat):
    """driver: QEMU's word for the format; options: qemu-img's. ending: of the files; mark: what stands before it. most:
    bytes of a disk, None for no such limit."""

    driver: ClassVar[str]
    options: ClassVar[str]
    ending: ClassVar[str]
    mark: ClassVar[str] = ""
    most: ClassVar[int | None] = None
    backends: ClassVar[tuple[str, ...]] = ("kvm", "vmware")
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("qemu-img", "writes the disks"),
    )

    def settled(self, ident: uuid.UUID, epoch: int) -> Callable[[int], None]:
        """Sets what would be another in each file: ident, and the time."""
        raise NotImplementedError

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.machines.cds import copied_cds
        from vmgen_build.backends.machines.hyperv import hyperv_script
        from vmgen_build.host.files import Written, write_whole
        from vmgen_build.plan.text.powershell import as_file

        machine, stem = vmdisks.machine_in(plan.build_recipe), f"{vmdisks.stem_of(plan)}{self.mark}"
        names = vmdisks.disk_names(stem, [drive.name for drive in machine.drives], self.ending)
        images = [vmdisks.cd_name(stem, n) if cd.image and cd.connected else "" for n, cd in enumerate(machine.cds)]
        script, text = out / f"{names[0]}.ps1", hyperv_script(machine, names, images)
        disks = vmdisks.machine_disks(plan, result, bus)
        packed = [self._packed(plan, disk, out / name) for disk, name in zip(disks, names, strict=True)]
        cds = copied_cds(plan, out, stem)
        write_whole(script, as_file(text).decode())
        return (*packed, *cds, Written.of(script))

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        script = f"{artifact.name}.ps1"
        there = (script,) if artifact.with_name(script).is_file() else ()
        return (*vmdisks.files_of(artifact, manifest), *vmdisks.cds_beside(artifact, manifest), *there)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.disk.convert import raw_of
        from vmgen_build.artifacts.result import Disk

        machine = vmdisks.machine_of_manifest(manifest)
        files = vmdisks.listed_disks(artifact, manifest, machine, (f".{self.ending}",))
        raws = [Disk(drive.name, boot.scratch / f"{drive.name}.raw") for drive in machine.drives]
        for raw, file in zip(raws, files, strict=True):
            with file.opened() as source:
                raw_of(source, Disk(raw.name, file.path, self.driver), raw.path)
        return vmdisks.booted_disks(machine, raws, boot, vmdisks.listed_cds(artifact, manifest, boot.scratch))

    def _packed(self, plan: Plan, disk: Disk, goal: Path) -> Written:
        from vmgen_build.artifacts.disk.convert import convert

        raw = vmdisks.as_raw(disk)
        size = whole_mib(raw.path.stat().st_size)
        if self.most is not None and size > self.most:
            raise BuildError(
                f"the disk {disk.name} has {in_words(size)}, and a VHD at most {in_words(self.most)};"
                " take --format vhdx"
            )
        os.truncate(raw.path, size)
        ident = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{plan.id}/{self.name}/{disk.name}")
        settle = self.settled(ident, plan.epoch)
        written = convert(raw, goal, self.driver, options=self.options, settle=settle)
        raw.path.unlink()
        return written
