"""A machine's disks as Hyper-V has them, and the script that makes the machine there."""

from __future__ import annotations

import os
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat
from vmgen_build.errors import BuildError, Problem
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.partitioning import whole_mib
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe

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

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        script = next(file for file in files if file.suffix == ".ps1")
        return ("Set-ExecutionPolicy -Scope Process Bypass", f".\\{script.name} -Start")

    @abstractmethod
    def settled(self, ident: uuid.UUID, epoch: int) -> Callable[[int], None]:
        """Sets what would be another in each file: ident, and the time."""

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        text = f"--format {self.name} takes a disk of {(self.most or 0) >> 30} GiB at most; take --format vhdx"
        large = [disk for disk in recipe.hardware.hdds.values() if self._is_too_large(disk.size or 0)]
        return [
            Problem(disk.at("size"), place(("hardware", "hdds", disk.name), "size"), text, code="format")
            for disk in large
        ]

    def _is_too_large(self, size: int) -> bool:
        return self.most is not None and whole_mib(size) > self.most

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.backends.machines.cds import copied_cds
        from vmgen_build.backends.machines.hyperv import hyperv_script
        from vmgen_build.host.files import Written, write_whole
        from vmgen_build.plan.text.powershell import as_file

        machine, stem = vmdisks.machine_in(plan.build_recipe), f"{vmdisks.stem_of(plan)}{self.mark}"
        names = vmdisks.disk_names(stem, [drive.name for drive in machine.drives], self.ending)
        images = [vmdisks.cd_name(names[0], n) if cd.image and cd.connected else "" for n, cd in enumerate(machine.cds)]
        script, text = out / f"{names[0]}.ps1", hyperv_script(machine, names, images)
        raws = [vmdisks.as_raw(disk) for disk in vmdisks.machine_disks(plan, result, bus)]
        for raw in raws:
            self._check_size(raw)
        made = [self._packed(plan, raw, out / name) for raw, name in zip(raws, names, strict=True)]
        cds = copied_cds(plan, out, names[0])
        write_whole(script, as_file(text).decode())
        return (*made, *cds, Written.of(script))

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        script = f"{artifact.name}.ps1"
        there = (script,) if artifact.with_name(script).is_file() else ()
        return (*vmdisks.files_of(artifact, manifest), *vmdisks.cds_beside(artifact, manifest, artifact.name), *there)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.disk.convert import raw_of
        from vmgen_build.artifacts.result import Disk

        machine = vmdisks.machine_of_manifest(manifest)
        files = vmdisks.listed_disks(artifact, manifest, machine, (f".{self.ending}",))
        raws = [Disk(drive.name, boot.scratch / f"{drive.name}.raw") for drive in machine.drives]
        for raw, file in zip(raws, files, strict=True):
            with file.opened() as source:
                raw_of(source, Disk(raw.name, file.path, self.driver), raw.path)
        cds = vmdisks.listed_cds(artifact, manifest, boot.scratch, artifact.name)
        return vmdisks.booted_disks(machine, raws, boot, cds)

    def _check_size(self, raw: Disk) -> None:
        """It is made longer to whole MiB, which nobody else's may be."""
        found = raw.path.stat()
        if self._is_too_large(found.st_size):
            raise BuildError(
                f"the disk {raw.name} has {found.st_size >> 30} GiB, and a VHD at most {(self.most or 0) >> 30} GiB;"
                " take --format vhdx"
            )
        if found.st_size != whole_mib(found.st_size) and found.st_nlink > 1:
            raise BuildError(f"the disk {raw.name} is not of whole MiB; take --format {self.name} alone")

    def _packed(self, plan: Plan, raw: Disk, goal: Path) -> Written:
        from vmgen_build.artifacts.disk.convert import convert

        os.truncate(raw.path, whole_mib(raw.path.stat().st_size))
        ident = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{plan.id}/{self.name}/{raw.name}")
        settle = self.settled(ident, plan.epoch)
        written = convert(raw, goal, self.driver, options=self.options, settle=settle)
        raw.path.unlink()
        return written
