"""Disks: their places, partitions and file systems. What no disk can be is wrong whatever backend makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.partitioning import (
    DOS_LIMIT,
    EMPTY_ONLY,
    ESP_SIZE,
    LONGEST_LABEL,
    NO_OWNERS,
    SMALLEST,
    label_fits,
    tables,
    whole_mib,
)
from vmgen_build.recipe.problems import Problems, place, shown
from vmgen_build.recipe.sections.hardware import Disk, Hardware, Partition
from vmgen_build.recipe.types.basic import show_size

SYSTEM_FOLDERS = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/opt", "/root", "/sbin", "/usr", "/var")
"""Folders that hold a part of every system."""

KERNEL_FOLDERS = ("/dev", "/proc", "/run", "/sys")


def check(draft: Draft, problems: Problems) -> None:
    hardware = draft.hardware
    for disk in hardware.hdds.values():
        _name(disk, problems)
        if any("type" in p.faulty for p in disk.partitions.values()):
            continue
        _kinds(hardware, disk, problems)
        _rest(hardware, disk, problems)
        for partition in disk.partitions.values():
            _partition(draft, disk, partition, problems)
        if not _faulty(disk):
            _fit(hardware, disk, problems)
    _mounts(hardware, problems)
    linux = draft.system is not None and draft.system.kind == "linux"
    if linux and "hdds" not in hardware.faulty:
        _root(hardware, problems)


def _at(disk: Disk, partition: Partition | None = None, option: str = "") -> str:
    inner = () if partition is None else ("partitions", partition.name)
    return place(("hardware", "hdds", disk.name, *inner), option)


def _name(disk: Disk, problems: Problems) -> None:
    """A disk's image is named after it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", disk.name):
        text = "is not a disk's name; write up to 63 letters, digits, dots, _ and -, such as hdd0"
        problems.error(disk.where, _at(disk), text, "value")


def _kinds(hardware: Hardware, disk: Disk, problems: Problems) -> None:
    """How many of each kind a table takes. An EFI machine's knows primary partitions alone, and 128 of them."""
    partitions = list(disk.partitions.values())
    extended = [p for p in partitions if p.type == "extended"]
    top = [p for p in partitions if p.type != "logical"]
    if len(top) > 4 and hardware.firmware == "bios":
        text = "is the fifth primary or extended partition of its disk, which has room for four; make it logical"
        problems.error(top[4].where, _at(disk, top[4]), text, "partitions")
    if len(extended) > 1:
        text = "is the second extended partition of its disk, which can have one; make it primary"
        problems.error(extended[1].where, _at(disk, extended[1]), text, "partitions")
    for partition in partitions:
        if partition.type == "logical" and not extended:
            text = "is logical, and the disk has no extended partition to hold it; add one, or make it primary"
            problems.error(partition.at("type"), _at(disk, partition, "type"), text, "partitions")


def _rest(hardware: Hardware, disk: Disk, problems: Problems) -> None:
    """One partition of a disk, and one within its extended partition, may take what is left."""
    for inner in _containers(hardware, disk):
        takers = [p for p in inner if p.size is None and "size" not in p.faulty]
        if len(takers) > 1:
            text = f"takes the rest, as {shown(takers[0].name)} does; give it a size"
            problems.error(takers[1].at("size"), _at(disk, takers[1], "size"), text, "partitions")


def _containers(hardware: Hardware, disk: Disk) -> Iterator[list[Partition]]:
    partitions = list(disk.partitions.values())
    if hardware.firmware == "efi":
        yield [p for p in partitions if p.type != "extended"]
        return
    yield [p for p in partitions if p.type != "logical"]
    yield [p for p in partitions if p.type == "logical"]


def _faulty(disk: Disk) -> bool:
    return "size" in disk.faulty or any(p.faulty & {"type", "size", "fs"} for p in disk.partitions.values())


def _fit(hardware: Hardware, disk: Disk, problems: Problems) -> None:
    efi = hardware.firmware == "efi"
    if disk.size is None:
        boot = _boot_disk(hardware)
        if not disk.partitions and boot is not disk and "partitions" not in disk.faulty:
            text = "is missing, and the disk has no partition that tells it; write, for example, size = 8G"
            problems.error(disk.where, _at(disk, option="size"), text, "missing")
    elif not efi and disk.size > DOS_LIMIT and (disk.partitions or _boot_disk(hardware) is disk):
        text = f"is more than the {show_size(DOS_LIMIT)} that a BIOS machine's partitions reach; write firmware = efi"
        problems.error(disk.at("size"), _at(disk, option="size"), text, "partitions")
        return
    extended = next((p for p in disk.partitions.values() if p.type == "extended"), None)
    if extended is not None and extended.size is not None and not efi:
        logical = [p for p in disk.partitions.values() if p.type == "logical"]
        container = _Container(disk, "its extended partition", whole_mib(extended.size), tables=0)
        _fill(container, logical, problems)
    if disk.size is not None:
        _fit_disk(hardware, disk, efi, problems)


def _fit_disk(hardware: Hardware, disk: Disk, efi: bool, problems: Problems) -> None:
    assert disk.size is not None
    partitions = [p for p in disk.partitions.values() if not (efi and p.type == "extended")]
    used = tables([p.type for p in partitions], "gpt" if efi else "dos")
    if efi and _boot_disk(hardware) is disk and not any(_mount(p) == "/boot/efi" for p in partitions):
        used += ESP_SIZE
    extended = next((p for p in partitions if p.type == "extended"), None)
    if extended is not None and extended.size is not None:
        partitions = [p for p in partitions if p.type != "logical"]
    elif extended is not None:
        partitions.remove(extended)
    _fill(_Container(disk, "its disk", whole_mib(disk.size), used), partitions, problems)


@dataclass(frozen=True, slots=True)
class _Container:
    """What holds partitions: a disk, or its extended one. name: in a sentence; room: bytes in all, of which `tables`
    are taken by tables."""

    disk: Disk
    name: str
    room: int
    tables: int


def _fill(container: _Container, partitions: Sequence[Partition], problems: Problems) -> None:
    """Report the first partition that has no room left; those that take the rest come last, with their least."""
    end, name = container.tables, container.name
    for partition in sorted(partitions, key=lambda p: p.size is None):
        rest = partition.size is None
        end += SMALLEST[partition.fs or "ext4"] if partition.size is None else whole_mib(partition.size)
        if end > container.room:
            need = f"{'at least ' if rest else ''}{show_size(end)}"
            need += f", {show_size(container.tables)} for tables among them" if container.tables else ""
            text = f"has no room: with it {name} needs {need}, and has {show_size(container.room)}; make it smaller, or"
            text += f" give {name} more"
            problems.error(partition.at("size"), _at(container.disk, partition, "size"), text, "partitions")
            return


def _partition(draft: Draft, disk: Disk, partition: Partition, problems: Problems) -> None:
    if partition.type == "extended":
        for option in ("fs", "mount", "label"):
            if getattr(partition, option) is not None:
                text = "stands in an extended partition, which holds logical ones and no file system; take it out"
                problems.error(partition.at(option), _at(disk, partition, option), text, "partitions")
        return
    if "fs" in partition.faulty:
        return
    fs = partition.fs or "ext4"
    if partition.size is not None and whole_mib(partition.size) < SMALLEST[fs]:
        text = f"{show_size(partition.size)} is too small for {fs}; give at least {show_size(SMALLEST[fs])}"
        problems.error(partition.at("size"), _at(disk, partition, "size"), text, "partitions")
    if partition.label is not None and not label_fits(partition.label, fs):
        problems.error(partition.at("label"), _at(disk, partition, "label"), _label(partition.label, fs), "value")
    if partition.mount is None:
        return
    if text := _no_mount(draft.hardware, disk, fs, _mount(partition)):
        problems.error(partition.at("mount"), _at(disk, partition, "mount"), text, "partitions")
    elif text := _unfit(draft, fs, _mount(partition)):
        problems.error(partition.at("fs"), _at(disk, partition, "fs"), text, "partitions")


def _label(label: str, fs: str) -> str:
    longest = LONGEST_LABEL[fs]
    if fs == "vfat":
        return f"{shown(label)} is no label of vfat; write up to {longest} letters, digits, blanks, _ and -"
    return f"{shown(label)} is longer than the {longest} bytes of a label of {fs}; write a shorter one"


def _no_mount(hardware: Hardware, disk: Disk, fs: str, mount: str) -> str:
    """Why this file system cannot be mounted there, whatever the system; "" where it can."""
    if fs == "swap":
        return "swap is not mounted; take it out"
    if any(mount == folder or mount.startswith(folder + "/") for folder in KERNEL_FOLDERS):
        return f"{mount} belongs to the running kernel; mount it elsewhere"
    if mount == "/boot/efi" and hardware.firmware == "efi" and _boot_disk(hardware) is not disk:
        return f"{mount} lies on another disk than /; put it beside that, or take it out: one is made there"
    return ""


def _unfit(draft: Draft, fs: str, mount: str) -> str:
    """Why a file system of this kind cannot hold what lies there; "" where it can."""
    if draft.system is not None and draft.system.kind != "linux":
        return ""
    if mount == "/boot/efi":
        wrong = draft.hardware.firmware == "efi" and fs != "vfat"
        return f"{mount} is {fs}, and firmware reads nothing but vfat; write fs = vfat" if wrong else ""
    part = next((f for f in SYSTEM_FOLDERS if mount == f or mount.startswith(f + "/")), None)
    holds = mount == "/" or part is not None or (mount == "/home" and bool(draft.users.users))
    if holds and fs in NO_OWNERS:
        return f"{fs} knows no owners and modes, which what lies on {mount} has; write fs = ext4"
    if holds and fs in EMPTY_ONLY:
        return f"{fs} can only be made empty, and {mount} holds files; write fs = ext4, or btrfs"
    return ""


def _mount(partition: Partition) -> str:
    """In one spelling, without a slash at the end."""
    return "/" + "/".join(part for part in (partition.mount or "").split("/") if part not in ("", "."))


def _mounts(hardware: Hardware, problems: Problems) -> None:
    found = (
        (_mount(p) if p.mount else None, p.at("mount"), _at(disk, p, "mount"))
        for disk in hardware.hdds.values()
        for p in disk.partitions.values()
    )
    unique(found, "the mount point", problems)


def _boot_disk(hardware: Hardware) -> Disk | None:
    """The disk that holds the root: where a partition is mounted on /, else the first."""
    for disk in hardware.hdds.values():
        if any(_mount(p) == "/" and p.mount for p in disk.partitions.values()):
            return disk
    return next(iter(hardware.hdds.values()), None)


def _root(hardware: Hardware, problems: Problems) -> None:
    disk = _boot_disk(hardware)
    if disk is None or not disk.partitions:
        return
    partitions = [p for d in hardware.hdds.values() for p in d.partitions.values()]
    if any((p.mount and _mount(p) == "/") or "mount" in p.faulty for p in partitions):
        return
    text = "no partition is mounted on /; write mount = / in the one that the system goes to"
    problems.error(disk.where, _at(disk), text, "no-root")
