"""A machine's disks as compressed raw images, each with its block map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import SUFFIXES, Compression, parse_compression
from vmgen_build.backends.format import PackOptions, progress_on, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat
from vmgen_build.events import Bus
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written


class PackedRaw(MachineFormat):
    """method: of artifacts.compression."""

    method: ClassVar[str]
    backends: ClassVar[tuple[str, ...]] = ("kvm", "vmware")

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"bmaptool copy {shown(files[0])} /dev/sdX",)

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.disk.packed import compress_image, write_block_map

        machine = vmdisks.machine_in(plan.build_recipe)
        names = vmdisks.disk_names(vmdisks.stem_of(plan), [drive.name for drive in machine.drives], self._ending)
        packed = []
        for name, disk in zip(names, vmdisks.machine_disks(plan, result, bus), strict=True):
            raw = vmdisks.as_raw(disk).path
            packed.append(compress_image(raw, out / name, self._compression(options), progress_on(bus)))
            packed.append(write_block_map(raw, out / f"{name}.bmap"))
            raw.unlink()
        return tuple(packed)

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        drives = [drive.name for drive in vmdisks.machine_of_manifest(manifest).drives]
        names = vmdisks.disk_names(artifact.name.removesuffix(f".{self._ending}"), drives, self._ending)
        there = [f"{name}.bmap" for name in names if artifact.with_name(f"{name}.bmap").is_file()]
        return (*names, *there)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.disk.packed import extract_image
        from vmgen_build.artifacts.result import Disk

        machine = vmdisks.machine_of_manifest(manifest)
        files = vmdisks.listed_disks(artifact, manifest, machine, (f".{self._ending}",))
        disks = []
        for drive, file in zip(machine.drives, files, strict=True):
            raw = boot.scratch / f"{drive.name}.raw"
            with file.opened() as source:
                extract_image(source, raw, vmdisks.most_of(drive), [self.method, "-q", "-d", "-c"])
            disks.append(Disk(drive.name, raw))
        return vmdisks.booted_disks(machine, disks, boot, {})

    @property
    def _ending(self) -> str:
        return f"raw{SUFFIXES[self.method]}"

    def _compression(self, options: PackOptions) -> Compression:
        """The level of --compression, where that names this method."""
        asked = parse_compression(options.compression)
        return asked if asked.method == self.method else parse_compression(self.method)
