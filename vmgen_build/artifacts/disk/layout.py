"""Where each partition of a drive lies, and the sfdisk(8) script that makes its table. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Drive, Volume
from vmgen_build.recipe.partitioning import MIB, SMALLEST, tables, whole_mib
from vmgen_build.text import size as in_words

SECTOR = 512

FREE = 512 * MIB
"""Bytes that stay free for work where the recipe leaves the size of a disk open."""

DOS_TYPES = {"swap": "82", "ntfs": "7", "vfat": "c"}
"""File system -> type in a dos table; all others are 83. An extended partition is 5."""

GPT_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
GPT_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
GPT_BASIC = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
GPT_TYPES = {"swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "ntfs": GPT_BASIC, "vfat": GPT_BASIC}


@dataclass(frozen=True, slots=True)
class Content:
    """What lies on a volume: bytes in blocks of 4 KiB, folders included, and how many inodes."""

    size: int = 0
    inodes: int = 0


NOTHING = Content()


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition: start and size in bytes, on whole MiB."""

    volume: Volume
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Layout:
    """size: of the whole disk, bytes. placed: in the order of Drive.volumes."""

    size: int
    placed: tuple[Placed, ...]


def place(drive: Drive, contents: Mapping[str, Content]) -> Layout:
    """Place the drive's volumes; contents: by Volume.option, nothing where it is missing.

    A volume without a size takes what is left of its disk, a logical one of its extended partition. On a disk without
    a size it gets its content's `comfortable` room, and the disk is as large as all of them. Raises BuildError where
    the partitions are larger than the disk, or a content larger than its partition.
    """
    sized = _sized(drive, contents)
    placed = _placed(drive, sized)
    end = max((p.end for p in placed), default=MIB) + (MIB if drive.table == "gpt" else 0)
    size = end if drive.size is None else whole_mib(drive.size)
    if end > size:
        raise BuildError(
            f"the partitions of disk '{drive.name}' need {in_words(end)} with their tables, and it has"
            f" {in_words(size)}; make it larger in [hardware.hdds.{drive.name}] size"
        )
    for p in placed:
        check_room(drive, p, contents.get(p.volume.option, NOTHING))
    return Layout(size, placed)


def comfortable(content: Content, fs: str | None) -> int:
    """Bytes of a partition whose size the recipe leaves open: 1.15 times the content, 512 bytes for each inode, and
    512 MiB free; whole MiB."""
    return whole_mib(max(needed(content) + FREE, SMALLEST.get(fs or "", MIB)))


def needed(content: Content) -> int:
    """Bytes of a partition that surely holds the content, the file system's own share included."""
    return content.size * 115 // 100 + content.inodes * 512


def check_room(drive: Drive, placed: Placed, content: Content) -> None:
    """Raises BuildError where the content's bytes alone are more than the partition has."""
    if content.size > placed.size:
        raise too_large(drive, placed, content)


def too_large(drive: Drive, placed: Placed, content: Content) -> BuildError:
    volume = placed.volume
    advice = whole_mib(needed(content) + 32 * MIB) // MIB
    return BuildError(
        f"what lies on {volume.mount} does not fit: {in_words(content.size)} in {content.inodes} files and folders, and"
        f" partition '{volume.option}' of disk '{drive.name}' has {in_words(placed.size)}; make it at least {advice}M"
    )


def _sized(drive: Drive, contents: Mapping[str, Content]) -> list[Volume]:
    """The volumes with all their sizes known, in whole MiB; an extended one without its tables."""
    kinds = [v.kind for v in drive.volumes]
    sized = [v if v.size is None else replace(v, size=whole_mib(v.size)) for v in drive.volumes]
    room: int | None = None
    if drive.size is not None:
        tops = [v for v in sized if v.kind != "logical"]
        room = whole_mib(drive.size) - tables(kinds, drive.table) - sum(v.size or 0 for v in tops)
    extended = next((v for v in sized if v.kind == "extended"), None)
    inner = extended.size if extended is not None and extended.size is not None else room
    sized = _filled(sized, contents, inner, logical=True)
    if extended is not None and extended.size is None and drive.size is None:
        inside = sum(v.size or 0 for v in sized if v.kind == "logical")
        sized = [replace(v, size=inside) if v is extended else v for v in sized]
    return _filled(sized, contents, room, logical=False)


def _filled(
    volumes: Sequence[Volume], contents: Mapping[str, Content], room: int | None, logical: bool
) -> list[Volume]:
    """The volumes of one container, those without a size given one; room: bytes of the container that are left where it
    has a size, for logical ones those of the whole extended partition."""
    if room is not None and logical:
        room -= sum(v.size or 0 for v in volumes if v.kind == "logical")
    result = []
    for volume in volumes:
        if volume.size is None and (volume.kind == "logical") == logical:
            size = room if room is not None else comfortable(contents.get(volume.option, NOTHING), volume.fs)
            if size < SMALLEST.get(volume.fs or "", MIB):
                raise BuildError(f"no room is left on its disk for partition '{volume.option}'; make the disk larger")
            volume = replace(volume, size=size)
        result.append(volume)
    return result


def _placed(drive: Drive, volumes: Sequence[Volume]) -> tuple[Placed, ...]:
    top = MIB
    logical = 0
    found: dict[str, Placed] = {}
    for volume in volumes:
        if volume.kind == "logical":
            continue
        size = volume.size or 0
        if volume.kind == "extended":
            logical = top
            size += MIB * sum(v.kind == "logical" for v in volumes)
        found[volume.option] = Placed(volume, top, size)
        top += size
    limit = max((p.end for p in found.values() if p.volume.kind == "extended"), default=0)
    for volume in volumes:
        if volume.kind == "logical":
            found[volume.option] = Placed(volume, logical + MIB, volume.size or 0)
            logical = found[volume.option].end
    if logical > limit > 0:
        raise BuildError(
            f"the logical partitions of disk '{drive.name}' take {in_words(logical - limit)} more than its extended one"
            " has; make that larger"
        )
    return tuple(replace(found[v.option], volume=v) for v in drive.volumes)


def sfdisk_script(machine: str, drive: Drive, layout: Layout) -> str:
    """Input of sfdisk(8). All ids come from the names of machine, drive and volume."""
    disk_id = _uuid(machine, drive.name)
    gpt = drive.table == "gpt"
    head = [
        f"label: {drive.table}",
        f"label-id: {str(disk_id).upper() if gpt else f'0x{disk_id.int & 0xFFFFFFFF:08x}'}",
        "unit: sectors",
        f"sector-size: {SECTOR}",
    ]
    active = None if gpt else _active(drive)
    lines = []
    for p in sorted(layout.placed, key=lambda p: p.volume.number):
        volume = p.volume
        fields = [f"start={p.start // SECTOR}", f"size={p.size // SECTOR}"]
        if gpt:
            fields += [f"type={_gpt_type(volume)}"]
            fields += [f"uuid={str(_uuid(machine, drive.name, volume.option, 'partition')).upper()}"]
        else:
            fields += [f"type={'5' if volume.kind == 'extended' else DOS_TYPES.get(volume.fs or '', '83')}"]
            fields += ["bootable"] if volume is active else []
        lines.append(f"disk-{volume.number} : {', '.join(fields)}")
    return "\n".join([*head, "", *lines]) + "\n"


def _active(drive: Drive) -> Volume | None:
    """The partition that carries the boot flag, which some BIOSes want to see: /boot's or the root's, if primary."""
    mounts = {v.mount: v for v in drive.volumes if v.kind == "primary"}
    return mounts.get("/boot") or mounts.get("/") if drive.boot else None


def _gpt_type(volume: Volume) -> str:
    return GPT_ESP if volume.kind == "esp" else GPT_TYPES.get(volume.fs or "", GPT_LINUX)


def _uuid(*names: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, "vmgen-build:" + "/".join(names))
