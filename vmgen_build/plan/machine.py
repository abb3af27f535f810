"""The virtual machine that a recipe describes, as data: its disks, descriptor and fstab are all made from it."""

from __future__ import annotations

import json
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from vmgen_build.recipe.partitioning import ESP_SIZE
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Disk
from vmgen_build.recipe.types.network import made_mac

BUSES = {"ide": 2, "scsi": 16, "sata": 30, "nvme": 15}
"""Bus -> units that one controller takes; unit 7 of a SCSI controller is the controller itself."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A partition.

    option: the recipe's name of it ("partition0"; "esp", "root" for those that no recipe names). number: its place in
    the partition table, logical ones from 5. kind: "primary", "extended", "logical" or "esp". size: bytes; None takes
    what is left. uuid: of its file system, as blkid(8) prints it; "" for an extended one.
    """

    option: str
    number: int
    kind: str
    fs: str | None
    size: int | None
    mount: str | None
    label: str | None
    uuid: str


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A hard disk. size: bytes; None: what the content needs and some free space. index: which controller of its bus;
    unit: its place there. controller: "lsilogic" or "pvscsi", for scsi. table: "dos" or "gpt". boot: holds the root."""

    name: str
    file: str
    size: int | None
    bus: str
    controller: str
    index: int
    unit: int
    table: str
    boot: bool
    volumes: tuple[Volume, ...]


@dataclass(frozen=True, kw_only=True)
class CdDrive:
    """On the second IDE controller. image: path of an ISO file, as the recipe has it; None: empty."""

    name: str
    image: str | None
    connected: bool


@dataclass(frozen=True, kw_only=True)
class Nic:
    name: str
    hw_addr: str
    type: str
    adapter: str
    bridge: str | None
    connected: bool


@dataclass(frozen=True, kw_only=True)
class Machine:
    """os: "debian-12"; arch "amd64"; ram: bytes; firmware: "bios" or "efi"; hw_version: VMware's."""

    name: str
    os: str
    arch: str
    cpus: int
    ram: int
    firmware: str
    hw_version: int
    drives: tuple[Drive, ...]
    cds: tuple[CdDrive, ...]
    nics: tuple[Nic, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Machine:
        data: dict[str, Any] = json.loads(text)
        drives = tuple(
            Drive(**{**drive, "volumes": tuple(Volume(**v) for v in drive["volumes"])}) for drive in data.pop("drives")
        )
        cds = tuple(CdDrive(**cd) for cd in data.pop("cds"))
        nics = tuple(Nic(**nic) for nic in data.pop("nics"))
        return cls(**data, drives=drives, cds=cds, nics=nics)

    def volumes(self) -> Iterator[tuple[Drive, Volume]]:
        for drive in self.drives:
            for volume in drive.volumes:
                yield drive, volume


def machine_of(recipe: Recipe) -> Machine:
    """The machine that [hardware] describes, its gaps filled. The recipe was checked (recipe.checks.disks)."""
    hardware = recipe.hardware
    efi = hardware.firmware == "efi"
    disks: list[tuple[str, Disk | None]] = [*hardware.hdds.items()] or [("hdd0", None)]
    boot = _boot_disk(dict(disks))
    taken: set[tuple[str, int, int]] = {
        (disk.type, *disk.pos) for _, disk in disks if disk is not None and disk.pos is not None
    }
    return Machine(
        name=recipe.name,
        os=hardware.os.name,
        arch=hardware.os.arch,
        cpus=hardware.num_cpu or 1,
        ram=hardware.ram or 1 << 30,
        firmware=hardware.firmware,
        hw_version=hardware.hw_version,
        drives=tuple(_drive(recipe.name, name, disk, name == boot, efi, taken) for name, disk in disks),
        cds=tuple(CdDrive(name=n, image=cd.image, connected=cd.connected) for n, cd in hardware.cds.items()),
        nics=tuple(_nics(recipe)),
    )


def _boot_disk(disks: dict[str, Disk | None]) -> str:
    """The disk that a partition mounts on /, else the first."""
    for name, disk in disks.items():
        if disk is not None and any(p.mount == "/" for p in disk.partitions.values()):
            return name
    return next(iter(disks))


def _drive(
    machine: str, name: str, disk: Disk | None, boot: bool, efi: bool, taken: set[tuple[str, int, int]]
) -> Drive:
    bus = disk.type if disk else "scsi"
    index, unit = disk.pos if disk and disk.pos else _free_place(bus, disk.scsi_index if disk else 0, taken)
    taken.add((bus, index, unit))
    return Drive(
        name=name,
        file=(disk.filename if disk else None) or f"{machine}-{name}.vmdk",
        size=disk.size if disk else None,
        bus=bus,
        controller=disk.controller if disk else "lsilogic",
        index=index,
        unit=unit,
        table="gpt" if efi else "dos",
        boot=boot,
        volumes=tuple(_volumes(machine, name, disk, boot, efi)),
    )


def _free_place(bus: str, index: int, taken: set[tuple[str, int, int]]) -> tuple[int, int]:
    while True:
        for unit in range(BUSES[bus]):
            if (bus, index, unit) not in taken and not (bus == "scsi" and unit == 7):
                return index, unit
        index += 1


def _volumes(machine: str, drive: str, disk: Disk | None, boot: bool, efi: bool) -> Iterator[Volume]:
    """Numbers as sfdisk(8) gives them. GPT knows neither extended nor logical partitions: there all are primary."""
    number, logical = 1, 5
    if boot and efi:
        named_esp = disk is not None and any(p.mount == "/boot/efi" for p in disk.partitions.values())
        if not named_esp:
            yield _volume(machine, drive, "esp", 1, "esp", "vfat", ESP_SIZE, "/boot/efi", None)
            number += 1
    if boot and (disk is None or not disk.partitions):
        yield _volume(machine, drive, "root", number, "primary", "ext4", None, "/", None)
        return
    for name, p in (disk.partitions if disk else {}).items():
        if efi and p.type == "extended":
            continue
        if p.type == "logical" and not efi:
            yield _volume(machine, drive, name, logical, "logical", p.fs, p.size, p.mount, p.label)
            logical += 1
            continue
        kind = "esp" if efi and p.mount == "/boot/efi" else "primary" if efi else p.type
        yield _volume(machine, drive, name, number, kind, p.fs, p.size, p.mount, p.label)
        number += 1


def _volume(
    machine: str,
    drive: str,
    option: str,
    number: int,
    kind: str,
    fs: str | None,
    size: int | None,
    mount: str | None,
    label: str | None,
) -> Volume:
    seed = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{machine}/{drive}/{option}")
    fs = None if kind == "extended" else fs or "ext4"
    return Volume(
        option=option,
        number=number,
        kind=kind,
        fs=fs,
        size=size,
        mount=posixpath.normpath(mount) if mount else mount,
        label=label,
        uuid="" if fs is None else _as_blkid(seed, fs),
    )


def _as_blkid(seed: uuid.UUID, fs: str) -> str:
    """vfat has a volume id of 32 bits, ntfs a serial number of 64, all others a UUID."""
    digits = seed.hex.upper()
    if fs == "vfat":
        return f"{digits[:4]}-{digits[4:8]}"
    return digits[:16] if fs == "ntfs" else str(seed)


def _nics(recipe: Recipe) -> Iterator[Nic]:
    """As in the guest's network files (plan.network.links): without any, eth0."""
    adapters, sections = recipe.hardware.eths, recipe.network.eths
    for name in dict.fromkeys((*adapters, *sections)) or {"eth0": None}:
        adapter = adapters.get(name)
        yield Nic(
            name=name,
            hw_addr=(adapter.hw_addr if adapter else None) or made_mac(recipe.name, name),
            type=adapter.type if adapter else "nat",
            adapter=adapter.adapter if adapter else "e1000",
            bridge=adapter.bridge if adapter else None,
            connected=adapter.connected if adapter else True,
        )
