"""vma: an archive with the machine and its disks, which Proxmox VE restores by one command."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import Compression, parse_compression
from vmgen_build.backends.format import PackOptions, progress_on, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineInOneFile
from vmgen_build.errors import BuildError, Problem
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

METHODS = ("zstd", "gzip", "none")
"""Those that Proxmox VE reads."""

NO_CDS = "the archive takes no CD images: put {} on a storage of Proxmox VE, and name it in the machine's empty drive"


class Vma(MachineInOneFile):
    name: ClassVar[str] = "vma"
    about: ClassVar[str] = "Proxmox VE: qmrestore"
    backends: ClassVar[tuple[str, ...]] = ("kvm",)
    endings: ClassVar[tuple[str, ...]] = (".vma.zst", ".vma.gz", ".vma")
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("zstd", "compresses the archive"),
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        name = files[0].name
        return (
            f"cp {shown(files[0])} /var/lib/vz/dump/",
            f"qmrestore /var/lib/vz/dump/{shown(name)} 200 --storage local-lvm && qm start 200",
        )

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        from vmgen_build.backends.kvm import pve

        try:
            pve.places(vmdisks.machine_in(plan.build_recipe))
        except BuildError as error:
            return [Problem(recipe.hardware.where, "[hardware] hdds", f"--format vma: {error}", code="format")]
        return []

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.vma import VmaContent, VmaDisk, write_vma
        from vmgen_build.backends.kvm import pve

        machine = vmdisks.machine_in(plan.build_recipe)
        names = [pve.device(place) for place in pve.places(machine)]
        raws = [vmdisks.as_raw(disk).path for disk in vmdisks.machine_disks(plan, result, bus)]
        sizes = [raw.stat().st_size for raw in raws]
        disks = [VmaDisk(*one) for one in zip(names, sizes, raws, strict=True)]
        if images := [cd.file for cd in machine.cds if cd.file]:
            bus.note(NO_CDS.format(" and ".join(images)), "warning")
        ident = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{plan.id}").bytes
        content = VmaContent(pve.config(machine, sizes), disks, ident, plan.epoch)
        compression = _compression(options)
        goal = out / f"vzdump-qemu-{plan.name}-{plan.arch}.vma{compression.suffix}"
        written = write_vma(goal, content, compression, progress_on(bus))
        for raw in raws:
            raw.unlink()
        return (written,)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.result import Disk
        from vmgen_build.backends.kvm import pve

        machine = vmdisks.machine_of_manifest(manifest)
        goals = {
            pve.device(place): (boot.scratch / f"{drive.name}.raw", vmdisks.most_of(drive))
            for place, drive in zip(pve.places(machine), machine.drives, strict=True)
        }
        _extract(artifact, manifest, goals)
        disks = [Disk(drive.name, path) for drive, (path, _) in zip(machine.drives, goals.values(), strict=True)]
        return vmdisks.booted_disks(machine, disks, boot, {})


def _compression(options: PackOptions) -> Compression:
    """What --compression says, where Proxmox VE reads that."""
    asked = parse_compression(options.compression)
    return asked if asked.method in METHODS else parse_compression("zstd")


def _extract(artifact: Path, manifest: Mapping[str, object], goals: Mapping[str, tuple[Path, int]]) -> None:
    import tempfile

    from vmgen_build.artifacts.vma import extract_vma
    from vmgen_build.host.confined import filtering

    method = {".zst": "zstd", ".gz": "gzip"}.get(artifact.suffix)
    with vmdisks.only_file(artifact, manifest).opened() as source, tempfile.TemporaryFile() as errors:
        if method is None:
            extract_vma(source, goals)
        else:
            with filtering([method, "-q", "-d", "-c"], source, errors) as content:
                extract_vma(content, goals)


FORMAT = Vma()
