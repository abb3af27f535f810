"""Partitions and drive letters beyond those that Setup makes: on XP and 2003 all but the system's own, later those of
the further disks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.plan.batch import WindowsWork, carried, refused, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.letters import letters_of, named_letter
from vmgen_build.plan.machine import Drive, Volume, machine_of
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.windowsprobe import WindowsQuestion, probe_of

ORDER = 50

MIB = 1 << 20

FORMATS = {"ntfs": "ntfs", "vfat": "fat32"}


@dataclass(frozen=True)
class _NewPartition:
    """A partition to be made. kind: diskpart's word. size: MiB, 0 for what is left. letter: "" for an extended one.
    option: as an error names it."""

    disk: int
    kind: str
    size: int
    letter: str
    fs: str
    label: str
    option: str


def steps(ctx: PlanContext) -> Iterator[Step]:
    parts = _parts(ctx)
    if not parts:
        return
    old = ctx.system.nt < (6, 0)
    lines = list(_script(parts, fresh={part.disk for part in parts} - {0}, formats=not old))
    values = {"volumes": [part for part in parts if part.letter]}
    files = (StepFile.of("drives.txt", "".join(f"{line}\r\n" for line in lines)),)
    probes = tuple(_probe(ctx, part) for part in parts if part.letter)
    work = WindowsWork(name="drives", title="partitions and drive letters", values=values, files=files, probes=probes)
    yield step_of(ctx, work)


def _probe(ctx: PlanContext, part: _NewPartition) -> Probe:
    question = WindowsQuestion(
        name=f"volume-{part.letter}",
        setting=part.option,
        expected=tuple(filter(None, (part.fs.upper(), part.label))),
        template="volume",
        values={"letter": part.letter},
    )
    return probe_of(ctx, question)


def _parts(ctx: PlanContext) -> list[_NewPartition]:
    machine = machine_of(ctx.recipe)
    letters = letters_of(machine)
    found = []
    for number, drive in enumerate(machine.drives):
        for volume in _beyond_setup(ctx, number, drive):
            found.append(_part(ctx, number, drive, volume, letters.get((drive.name, volume.option), "")))
    return found


def _beyond_setup(ctx: PlanContext, number: int, drive: Drive) -> tuple[Volume, ...]:
    """Setup of XP and 2003 makes the first partition of the first disk, that of later ones all of that disk."""
    if number:
        return drive.volumes
    return drive.volumes[1:] if ctx.system.nt < (6, 0) else ()


def _part(ctx: PlanContext, number: int, drive: Drive, volume: Volume, letter: str) -> _NewPartition:
    partition = ctx.recipe.hardware.hdds[drive.name].partitions[volume.option]
    option = f"[hardware] {drive.name}: {volume.option}"
    if volume.kind != "extended" and volume.fs not in FORMATS:
        text = f"Windows makes no {volume.fs}; write fs = ntfs, or vfat"
        raise refused(partition.at("fs"), f"{option}: fs", text)
    if volume.mount and not named_letter(volume):
        text = f"'{volume.mount}' is no drive of Windows; write one such as E:"
        raise refused(partition.at("mount"), f"{option}: mount", text)
    label = carried(ctx, "drives", volume.label or "", partition.at("label"), f"{option}: label")
    size = -(-volume.size // MIB) if volume.size else 0
    return _NewPartition(number, volume.kind, size, letter, FORMATS.get(volume.fs or "", ""), label, option)


def _script(parts: list[_NewPartition], fresh: set[int], formats: bool) -> Iterator[str]:
    """Lines of diskpart. fresh: disks that hold nothing yet. formats: whether diskpart formats (since Vista)."""
    for disk in dict.fromkeys(part.disk for part in parts):
        yield f"select disk {disk}"
        if disk in fresh and formats:
            yield from ("online disk noerr", "attributes disk clear readonly noerr")
        for part in (part for part in parts if part.disk == disk):
            yield f"create partition {part.kind}" + (f" size={part.size}" if part.size else "")
            if not part.letter:
                continue
            if formats:
                yield f"format fs={part.fs} quick" + (f' label="{part.label}"' if part.label else "")
            yield f"assign letter={part.letter}"
