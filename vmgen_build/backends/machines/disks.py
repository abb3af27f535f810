"""What the backends of virtual machines share: a plan's part, disks in their formats, a copy to boot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vmgen_build.backends.format import progress_on
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.limits import DISK_SIZE
from vmgen_build.plan.machine import FILE as MACHINE
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.plan.model import Plan
from vmgen_build.plan.readback import machine_read_back
from vmgen_build.recipe.partitioning import whole_mib

if TYPE_CHECKING:
    from vmgen_build.artifacts.listed import ListedFile
    from vmgen_build.artifacts.result import Disk, Disks, Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

DISK_REQUIREMENTS = (
    needed("sfdisk", "partitions the disks"),
    needed("mke2fs", "makes their file systems"),
)

BOOT_TIMEOUT = 900.0
"""Seconds; an emulated processor takes minutes for what a real one does in seconds."""


def machine_in(build_recipe: Mapping[str, str]) -> Machine:
    return Machine.from_json(build_recipe[MACHINE])


def machine_of_manifest(manifest: Mapping[str, object]) -> Machine:
    """Raises HostError where the manifest describes no machine."""
    recipe = manifest.get("build_recipe")
    if not isinstance(recipe, Mapping) or MACHINE not in recipe:
        raise HostError("the manifest describes no virtual machine: build the image anew with this version")
    try:
        return machine_read_back(str(recipe[MACHINE]))
    except ValueError as error:
        raise HostError(
            f"the manifest describes a machine that no recipe can have: {error}; build the image anew"
        ) from error


def needs(plan: Plan) -> tuple[Requirement, ...]:
    """The programs that this machine's file systems are made by."""
    from vmgen_build.artifacts.disk.filesystems import programs

    return tuple(needed(c, "makes the machine's disks") for c in sorted(programs(machine_in(plan.build_recipe))))


def machine_disks(plan: Plan, result: Result, bus: Bus) -> tuple[Disk, ...]:
    """The machine's disks, one for each drive in order: as they came home, or made of a tree, in its scratch folder.

    Raises BuildError where disks came home that are not those of the machine's drives.
    """
    from vmgen_build.artifacts.disk.image import write_disks
    from vmgen_build.artifacts.result import Disk, Disks

    machine = machine_in(plan.build_recipe)
    if isinstance(result, Disks):
        _check_fit(machine, result)
        return result.disks
    disks = write_disks(machine, result.root, result.scratch, epoch=plan.epoch, progress=progress_on(bus))
    return tuple(Disk(disk.name, disk.path) for disk in disks)


def prepared(plan: Plan, result: Result, bus: Bus) -> Disks:
    """What all formats of a machine are packed of. Raises BuildError as machine_disks."""
    from vmgen_build.artifacts.result import Disks

    return Disks(machine_disks(plan, result, bus), result.nvram if isinstance(result, Disks) else None)


def _check_fit(machine: Machine, result: Disks) -> None:
    found, wanted = [disk.name for disk in result.disks], [drive.name for drive in machine.drives]
    if found != wanted:
        raise BuildError(
            f"the guest came home with the disks {', '.join(found) or 'none'}, and {machine.name} has"
            f" {', '.join(wanted)}, in this order; give [hardware] hdds the disks of the machine that the plan runs in"
        )


def as_raw(disk: Disk) -> Disk:
    """The disk as a raw image beside it, which takes its place; one that is raw is taken as it is."""
    from vmgen_build.artifacts.disk.convert import to_raw
    from vmgen_build.artifacts.result import Disk

    if disk.format == "raw":
        return disk
    raw = Disk(disk.name, disk.path.with_name(f"{disk.name}-converted.raw"))
    to_raw(disk, raw.path)
    disk.path.unlink()
    return raw


def most_of(drive: Drive) -> int:
    """Bytes that the image of a machine's drive may have: disks are made of whole MiB."""
    return DISK_SIZE.amount if drive.size is None else min(whole_mib(drive.size), DISK_SIZE.amount)


def adapter_of(drive: Drive) -> str:
    """What a VMDK's own descriptor says of the drive's bus."""
    return "ide" if drive.bus == "ide" else "lsilogic"


def disk_names(stem: str, drives: Sequence[str], ending: str) -> list[str]:
    """The first disk bears the artifact's name alone, further ones their own beside it."""
    return [f"{stem}.{ending}" if not n else f"{stem}-{name}.{ending}" for n, name in enumerate(drives)]


def stem_of(plan: Plan) -> str:
    """What the names of its files begin with, where disks lie alone."""
    return plan.name if plan.backend == "vmware" else f"{plan.name}-{plan.backend}-{plan.arch}"


def cd_name(stem: str, number: int) -> str:
    """Of the image in a CD drive, where it lies beside the disks. number: of the drive, from 0."""
    return f"{stem}-cd{number}.iso"


def files_of(artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
    """Names of a machine's disks, as pack_disks gives them to those beside the first. Raises HostError as
    machine_of_manifest."""
    drives = [drive.name for drive in machine_of_manifest(manifest).drives]
    return tuple(disk_names(artifact.stem, drives, artifact.suffix.removeprefix(".")))


def cds_beside(artifact: Path, manifest: Mapping[str, object], stem: str = "") -> tuple[str, ...]:
    """Names of the CD images that lie beside the first disk. stem: as of cd_name; that of the artifact by default."""
    numbers = range(len(machine_of_manifest(manifest).cds))
    names = [cd_name(stem or artifact.stem, number) for number in numbers]
    return tuple(name for name in names if artifact.with_name(name).is_file())


def pack_disks(plan: Plan, result: Result, goal: Path, bus: Bus) -> tuple[Written, ...]:
    """Each of the machine's disks as a file of its own. goal: of the first; it ends in ".vmdk", ".qcow2" or ".raw", as
    all others then do."""
    from vmgen_build.artifacts.disk.convert import convert

    machine, ending = machine_in(plan.build_recipe), goal.suffix.removeprefix(".")
    names = disk_names(goal.stem, [drive.name for drive in machine.drives], ending)
    packed = []
    for drive, disk, name in zip(machine.drives, machine_disks(plan, result, bus), names, strict=True):
        if ending == "vmdk":
            packed.append(pack_vmdk(plan, drive, disk, goal.with_name(name), bus))
        else:
            packed.append(convert(disk, goal.with_name(name), ending))
            disk.path.unlink()
    return tuple(packed)


def pack_vmdk(plan: Plan, drive: Drive, disk: Disk, goal: Path, bus: Bus) -> Written:
    """The disk as a stream-optimized VMDK; its own image is removed."""
    from vmgen_build.artifacts.vmdk import write_vmdk

    raw = as_raw(disk)
    written = write_vmdk(raw.path, goal, adapter=adapter_of(drive), ident=plan.id, progress=progress_on(bus))
    raw.path.unlink()
    return written


def booted_disks(
    machine: Machine, disks: Sequence[Disk], boot: Boot, cds: Mapping[int, Path]
) -> AbstractContextManager[Booted]:
    """cds: by the number of its drive, an image that is ours."""
    if boot.console is not None:
        from vmgen_build.boots.qemu.use import used_machine

        return used_machine(machine, disks, boot, cds)
    from vmgen_build.boots.qemu.boot import booted_vm
    from vmgen_build.boots.qemu.windows import booted_windows
    from vmgen_build.boots.up import system_of

    if system_of(machine.os).kind == "windows":
        return booted_windows(machine, disks, boot, cds)
    return booted_vm(machine, disks, boot, cds)


def copies(artifact: Path, manifest: Mapping[str, object], scratch: Path) -> list[Disk]:
    """The disks of a --format vmdk, qcow2 or raw artifact as raw images that may be written to: the files that the
    manifest lists, beside the artifact. Raises BuildError, HostError."""
    from vmgen_build.artifacts.result import Disk

    machine = machine_of_manifest(manifest)
    files = listed_disks(artifact, manifest, machine, (".vmdk", ".qcow2", ".raw"))
    raws = [Disk(drive.name, scratch / f"{drive.name}.raw") for drive in machine.drives]
    for raw, file in zip(raws, files, strict=True):
        _to_raw(file, raw.path)
    return raws


def listed_disks(
    artifact: Path, manifest: Mapping[str, object], machine: Machine, endings: tuple[str, ...]
) -> list[ListedFile]:
    """One for each drive. Raises BuildError for another number of them, HostError."""
    from vmgen_build.artifacts.listed import listed_files

    files = [file for file in listed_files(artifact, manifest) if file.name.endswith(endings)]
    if len(files) != len(machine.drives):
        raise BuildError(f"the manifest has {len(files)} disks, and its machine {len(machine.drives)}; build it anew")
    return files


def only_file(artifact: Path, manifest: Mapping[str, object]) -> ListedFile:
    """Of an artifact that is one file. Raises BuildError for another number of them, HostError."""
    from vmgen_build.artifacts.listed import listed_files

    files = listed_files(artifact, manifest)
    if len(files) != 1:
        raise BuildError(f"the manifest has {len(files)} files, and {artifact.name} is one; build it anew")
    return files[0]


def listed_cds(artifact: Path, manifest: Mapping[str, object], scratch: Path, stem: str = "") -> dict[int, Path]:
    """Copies of the CD images that lie beside the artifact under the names that its domain gives them. A drive whose
    image is not among the files of the manifest is empty. stem: as of cds_beside. Raises HostError."""
    from vmgen_build.artifacts.listed import listed_files

    machine = machine_of_manifest(manifest)
    files = {file.name: file for file in listed_files(artifact, manifest)}
    found = {}
    for number, cd in enumerate(machine.cds):
        file = files.get(cd_name(stem or artifact.stem, number))
        if cd.connected and cd.image and file is not None:
            found[number] = scratch / f"cd{number}.iso"
            with file.opened() as source:
                copy_to(source, found[number])
    return found


def copy_to(source: IO[bytes], goal: Path) -> None:
    """Raises HostError."""
    try:
        with goal.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except OSError as error:
        raise HostError(f"cannot write {goal}: {error.strerror}; make room there, or choose another folder") from error


def _to_raw(file: ListedFile, goal: Path) -> None:
    from vmgen_build.artifacts.disk.convert import raw_of
    from vmgen_build.artifacts.result import Disk
    from vmgen_build.artifacts.vmdk import extract

    with file.opened() as source:
        if file.path.suffix == ".vmdk":
            extract(source, goal)
        else:
            raw_of(source, Disk(file.path.stem, file.path, file.path.suffix[1:]), goal)
