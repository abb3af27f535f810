"""The disks of a whole machine of the user's, as images of our own: its image is read, and never written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.disk.convert import opened, taken_in
from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.ova.disks import take_disks
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.bases.unpack import check_digest
from vmgen_build.errors import BuildError, Problem
from vmgen_build.host.confined import lent, output_confined
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.run import run
from vmgen_build.plan.bases import DiskMachine, Image
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems.model import System
from vmgen_build.text import size

PARTITIONED = "the base is started as it is, and its disks keep their own partitions; take these out"


def own_problems(recipe: Recipe) -> list[Problem]:
    """What of a recipe cannot be where a user's machine is started as it is."""
    found = []
    for number, disk in enumerate(recipe.hardware.hdds.values()):
        if disk.partitions and not _parted_by_a_step(recipe.hardware.os, number):
            where, path = disk.at("partitions"), place(("hardware", "hdds", disk.name), "partitions")
            found.append(Problem(where, path, PARTITIONED, code="partitions"))
    return found


def _parted_by_a_step(system: System, number: int) -> bool:
    """Whether a step makes the partitions of this disk, or those after the first, as plan.windows.drives does."""
    return system.kind == "windows" and (number > 0 or system.nt < (6, 0))


def imported_disks(base: DiskMachine, machine: Machine, scratch: Path) -> Disks:
    """A new qcow2 image in `scratch` for each drive of the machine: those of the base first, as large as the recipe has
    them, and empty ones for further drives.

    Raises BuildError where the image is another one, leads to other files, or is larger than the recipe lets it be;
    HostError.
    """
    assert isinstance(base.image, Image)
    check_digest(base.image.file, base.image.sha256)
    sources = _sources(base.image, scratch)
    drives = machine.drives
    if len(sources) > len(drives):
        raise BuildError(
            f"{base.image.file} has {len(sources)} disks, and {machine.name} has {len(drives)}; add a section to"
            " [hardware] [[hdds]] for each of them, in their order"
        )
    made = [_taken(drive, source, scratch) for drive, source in zip(drives, sources, strict=False)]
    empty = [empty_disk(drive, scratch) for drive in drives[len(sources) :]]
    return Disks((*made, *empty))


def _sources(image: Image, scratch: Path) -> Sequence[Disk]:
    if image.format != "ova":
        return [Disk("base", image.file, image.format)]
    return [Disk("base", path, "vmdk") for path in take_disks(image.file, scratch)]


def _taken(drive: Drive, source: Disk, scratch: Path) -> Disk:
    goal = scratch / f"{drive.name}.qcow2"
    taken_in(source, goal, "qcow2")
    if source.path.is_relative_to(scratch):
        source.path.unlink()
    with opened(goal) as file:
        given = check_qcow2(file)
    if drive.size is not None and drive.size < given:
        raise BuildError(
            f"disk '{drive.name}': the base has {size(given)}, and [hardware.hdds.{drive.name}] size gives it"
            f" {size(drive.size)}; give it more, or leave size out"
        )
    if drive.size is not None and drive.size > given:
        _grow(goal, drive.size)
    return Disk(drive.name, goal, "qcow2")


def _grow(image: Path, bytes_: int) -> None:
    with image.open("r+b", buffering=0) as file, lent(file.fileno()):
        command = ["qemu-img", "resize", "-q", "-f", "qcow2", name_of(file), str(bytes_)]
        output_confined(command, f"cannot make {image.name} larger", [file.fileno()])


def empty_disk(drive: Drive, scratch: Path) -> Disk:
    """A new qcow2 image in `scratch` that nothing is on. Raises BuildError."""
    if drive.size is None:
        raise BuildError(
            f"disk '{drive.name}' is none of the base's, and is made empty: give it a size in"
            f" [hardware.hdds.{drive.name}]"
        )
    goal = scratch / f"{drive.name}.qcow2"
    done = run(["qemu-img", "create", "-q", "-f", "qcow2", goal, str(drive.size)])
    if done.code != 0:
        raise BuildError(f"cannot make the disk '{drive.name}' of {size(drive.size)}: {done.reason}")
    return Disk(drive.name, goal, "qcow2")
