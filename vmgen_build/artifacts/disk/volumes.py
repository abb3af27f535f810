"""The file systems that a raw disk of others holds, and where its own fstab(5) puts them. Confined programs look."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from vmgen_build.errors import BuildError
from vmgen_build.host.confined import Reach, run_confined
from vmgen_build.host.inmemory import name_of
from vmgen_build.limits import VOLUMES

_SECTOR = 512
_ON_A_DISK = re.compile(r"(UUID|LABEL|PARTUUID|PARTLABEL|ID)=|/(?!/)")
_ON_A_MEDIUM = re.compile(r"/dev/(sr\d|scd\d|cdrom|cdrw|dvd|fd\d|floppy)")
_APART = {"swap", "tmpfs", "proc", "sysfs", "devpts", "devtmpfs", "bind", "rbind"}
"""Types and options of what has no files of its own on a disk."""

_ESCAPED = re.compile(r"\\([0-3][0-7]{2})")
"""Of fstab(5): "\\040" for a space."""

USAGES = "filesystem,other"
"""What blkid(8) looks for (its option -u)."""

ALL_USAGES = "filesystem,raid,crypto,other"
"""With volumes that hold others: to name them."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """start, size: bytes. type: as blkid(8) names it, "ext4" or "LVM2_member". names: what fstab may call it,
    "UUID=..." and its like."""

    start: int
    size: int
    type: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mount:
    """A row of fstab(5). name: of the file system, "UUID=..." or "/dev/vda2". folder: "/home". by_hand: the system
    does not mount it when it starts."""

    name: str
    folder: str
    by_hand: bool


def file_systems(raw: IO[bytes], usages: str = USAGES) -> tuple[FileSystem, ...]:
    """Of each partition, or the one of a disk without partitions. raw: one that confined programs may open. usages:
    USAGES or ALL_USAGES.

    Raises BuildError, HostError.
    """
    table = run_confined(["sfdisk", "--json", name_of(raw)], Reach((raw.fileno(),)))
    found = [_file_system(raw, usages, *extent) for extent in _partitions(table.text)] if table.code == 0 else []
    whole = [] if any(found) else [_file_system(raw, usages, 0, os.fstat(raw.fileno()).st_size, "")]
    return tuple(filter(None, (*found, *whole)))


def _partitions(table: str) -> Iterator[tuple[int, int, str]]:
    try:
        data = json.loads(table)["partitiontable"]
        unit = int(data.get("sectorsize", _SECTOR))
        parts: Sequence[dict[str, Any]] = data.get("partitions", ())
        if len(parts) > VOLUMES.amount:
            raise BuildError(f"the disk has {len(parts)} partitions: {VOLUMES.exceeded}")
        for part in parts:
            yield int(part["start"]) * unit, int(part["size"]) * unit, str(part.get("uuid", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(f"what sfdisk says of the disk is not read: {error}") from error


def _file_system(raw: IO[bytes], usages: str, start: int, size: int, partition: str) -> FileSystem | None:
    """None where there is none: an extended partition, empty space."""
    command = ["blkid", "-p", "-o", "export", "-O", str(start), "-S", str(size)]
    command += ["-u", usages, name_of(raw)]
    probed = run_confined(command, Reach((raw.fileno(),)))
    fields = dict(line.partition("=")[::2] for line in probed.text.splitlines())
    if probed.code != 0 or "TYPE" not in fields:
        return None
    names = {f"{key}={fields[key]}" for key in ("UUID", "LABEL") if fields.get(key)}
    return FileSystem(start, size, fields["TYPE"], frozenset(names | {f"PARTUUID={partition.lower()}"}))


def disk_mounts(fstab: str) -> Sequence[Mount]:
    """All that the system mounts of disks beside its root, whatever names them; upper folders first. Not of a network
    or of memory, no swap, no CD, and no folder that is mounted again."""
    found = []
    for line in fstab.splitlines():
        row = line.split()
        if len(row) < 3 or line.lstrip().startswith("#"):
            continue
        name, folder, kind = row[0].replace('"', ""), _ESCAPED.sub(_unescaped, row[1]), row[2]
        options = {kind, *(row[3].split(",") if len(row) > 3 else ())}
        is_one = kind == "zfs" or (_ON_A_DISK.match(name) and not _ON_A_MEDIUM.match(name))
        if is_one and folder.startswith("/") and folder.strip("/") and not options & _APART:
            found.append(Mount(_as_blkid_names(name), folder, "noauto" in options))
    return sorted(found, key=lambda mount: mount.folder)


def _as_blkid_names(name: str) -> str:
    return f"PARTUUID={name.partition('=')[2].lower()}" if name.startswith("PARTUUID=") else name


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
