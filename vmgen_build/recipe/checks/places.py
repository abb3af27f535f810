"""Where disks and CD drives hang: positions that exist, each taken once, and controllers that agree."""

from __future__ import annotations

from collections import Counter

from vmgen_build.catalogue.hardware import BUSES, CD_BUS, CD_CONTROLLERS
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, place
from vmgen_build.recipe.sections.hardware import Disk, Hardware


def check(draft: Draft, problems: Problems) -> None:
    hardware = draft.hardware
    disks = [d for d in hardware.hdds.values() if not d.faulty & {"type", "pos", "scsi_index"}]
    for disk in disks:
        if disk.pos is not None and (wrong := _position(disk, *disk.pos)):
            problems.error(disk.at("pos"), _at(disk, "pos"), wrong, "position")
    taken = ((f"{d.type} {d.pos[0]}:{d.pos[1]}" if d.pos else None, d.at("pos"), _at(d, "pos")) for d in disks)
    unique(taken, "the position", problems)
    unique(((d.filename, d.at("filename"), _at(d, "name")) for d in disks), "the file", problems)
    _controllers(disks, problems)
    _room(hardware, disks, problems)


def _at(disk: Disk, option: str) -> str:
    return place(("hardware", "hdds", disk.name), option)


def _position(disk: Disk, bus: int, unit: int) -> str:
    """What is wrong with a position; "" for nothing."""
    hangs_on = BUSES[disk.type]
    if not hangs_on.holds((bus, unit)):
        last = "{}:{}".format(*hangs_on.last)
        return f"'{bus}:{unit}' is beyond the last position of {disk.type}, {last}; give one from 0:0 to {last}"
    if unit in hangs_on.reserved:
        return f"unit {unit} of a SCSI bus is its controller; give another"
    if disk.type == "scsi" and "scsi_index" in disk.places and disk.scsi_index != bus:
        return f"'{bus}:{unit}' is on bus {bus}, and scsi_index says {disk.scsi_index}; keep one of them"
    return ""


def _controllers(disks: list[Disk], problems: Problems) -> None:
    """Disks on one SCSI bus have one controller."""
    first: dict[int, Disk] = {}
    for disk in disks:
        if disk.type != "scsi" or "controller" in disk.faulty:
            continue
        other = first.setdefault(disk.pos[0] if disk.pos else disk.scsi_index, disk)
        if other.controller != disk.controller:
            text = (
                f"is {disk.controller}, and disk '{other.name}' on the same bus has {other.controller};"
                " write the same, or another scsi_index"
            )
            problems.error(disk.at("controller"), _at(disk, "controller"), text, "position")


def _room(hardware: Hardware, disks: list[Disk], problems: Problems) -> None:
    """CD drives hang on the second IDE controller."""
    cds = len(hardware.cds)
    ide = [d for d in disks if d.type == CD_BUS]
    second = [d for d in ide if d.pos and d.pos[0] == CD_CONTROLLERS[0]]
    places = BUSES[CD_BUS].units
    if cds > places:
        cd = list(hardware.cds.values())[places]
        problems.error(cd.where, place(("hardware", "cds", cd.name)), "is the third CD drive; keep two", "position")
    elif second and cds + len(second) > places:
        text = f"has no room: {_drives(cds)} on the second IDE controller; give 0:0 or 0:1, or another type"
        problems.error(second[-1].at("pos"), _at(second[-1], "pos"), text, "position")
    elif len(ide) + cds > BUSES[CD_BUS].places:
        text = f"has no room: IDE takes four drives, CD drives ({cds}) among them; write another type, such as sata"
        problems.error(ide[-1].at("type"), _at(ide[-1], "type"), text, "position")
    for bus, count in Counter(d.type for d in disks if d.type != CD_BUS).items():
        most = BUSES[bus].places
        if count > most:
            disk = [d for d in disks if d.type == bus][most]
            problems.error(disk.where, _at(disk, ""), f"is more than the {most} disks that {bus} takes", "position")


def _drives(count: int) -> str:
    return "a CD drive hangs" if count == 1 else f"{count} CD drives hang"
