"""The virtual machine that a recipe describes, as data: its disks, descriptor and fstab are all made from it."""

from __future__ import annotations

import json
import posixpath
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from vmgen_build.catalogue.hardware import CD_BUS, Position, cd_positions, free_position
from vmgen_build.errors import BuildError
from vmgen_build.recipe.complete import disk_type
from vmgen_build.recipe.partitioning import ESP_SIZE
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Disk, Partition
from vmgen_build.recipe.types.network import made_mac
from vmgen_build.systems.model import Needs

FILE = "machine.json"
"""The build recipe's file that holds the machine."""


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

    @property
    def kind(self) -> str:
        """Of what it hangs on: its controller for scsi, its bus for all others."""
        return self.controller if self.bus == "scsi" else self.bus


@dataclass(frozen=True, kw_only=True)
class CdDrive:
    """Where it hangs: Machine.cd_positions. image: path of an ISO file, as the recipe has it; None: empty."""

    name: str
    image: str | None
    connected: bool

    @property
    def file(self) -> str | None:
        """The image's own name, which it keeps beside the disks."""
        return self.image and posixpath.basename(self.image)


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

    def cd_positions(self) -> tuple[Position, ...]:
        """IDE controller and unit of each CD drive. Raises BuildError where there is no place for one."""
        free = cd_positions({(drive.index, drive.unit) for drive in self.drives if drive.bus == CD_BUS})
        if len(self.cds) > len(free):
            raise BuildError(
                f"{self.name} has {len(self.cds)} CD drives, and {len(free)} places of its IDE controllers are free;"
                " leave some out, or move IDE disks to another bus"
            )
        return tuple(free[: len(self.cds)])


@dataclass(frozen=True, kw_only=True)
class FirstStart:
    """Of a machine whose disks are empty: it starts from its first CD then, and from its disks later. floppy: name of
    the image in its floppy drive, "" for none."""

    floppy: str = ""


BOOT_ORDER = ("bios.bootOrder", "hdd,cdrom")
"""The setting of VMware's BIOS by which it does so, and asks no floppy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _DiskWish:
    """A disk to be made. disk: as the recipe has it; None for the one that a recipe without any gets."""

    machine: str
    name: str
    disk: Disk | None
    position: Position
    boot: bool
    efi: bool
    needs: Needs | None

    @property
    def path(self) -> str:
        """What the ids of its file systems are made from."""
        return f"{self.machine}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _VolumeWish:
    """A volume that has no number yet; the fields are those of Volume. fs None: none is named."""

    option: str
    kind: str
    fs: str | None = None
    size: int | None = None
    mount: str | None = None
    label: str | None = None


def machine_of(recipe: Recipe) -> Machine:
    """The machine that [hardware] describes, its gaps filled. The recipe was checked (recipe.checks.disks)."""
    hardware = recipe.hardware
    return Machine(
        name=recipe.name,
        os=hardware.os.name,
        arch=hardware.os.arch,
        cpus=hardware.num_cpu or 1,
        ram=hardware.ram or 1 << 30,
        firmware=hardware.firmware,
        hw_version=hardware.hw_version,
        drives=tuple(_drive(wish) for wish in _disk_wishes(recipe)),
        cds=tuple(CdDrive(name=n, image=cd.image, connected=cd.connected) for n, cd in hardware.cds.items()),
        nics=tuple(_nics(recipe)),
    )


def own_machine_of(recipe: Recipe) -> Machine:
    """The same machine where nothing is known of what its disks hold, and of their sizes what the recipe says: they are
    a user's own."""
    machine, disks = machine_of(recipe), recipe.hardware.hdds
    sizes = {name: disk.size for name, disk in disks.items()}
    drives = tuple(replace(drive, volumes=(), size=sizes.get(drive.name)) for drive in machine.drives)
    return replace(machine, drives=drives)


def _disk_wishes(recipe: Recipe) -> Iterator[_DiskWish]:
    disks: dict[str, Disk | None] = {**recipe.hardware.hdds} or {"hdd0": None}
    usual = _usual_bus(recipe.hardware.os.needs)
    boot, positions = _boot_disk(disks), _positions(disks, usual)
    for name, disk in disks.items():
        yield _DiskWish(
            machine=recipe.name,
            name=name,
            disk=disk,
            position=positions[name],
            boot=name == boot,
            efi=recipe.hardware.firmware == "efi",
            needs=recipe.hardware.os.needs,
        )


def _boot_disk(disks: Mapping[str, Disk | None]) -> str:
    """The disk that a partition mounts on /, else the first."""
    for name, disk in disks.items():
        if disk is not None and any(p.mount == "/" for p in disk.partitions.values()):
            return name
    return next(iter(disks))


def _positions(disks: Mapping[str, Disk | None], usual: str) -> dict[str, Position]:
    """Where each hangs: where the recipe says, the others where there is room then."""
    found = {name: disk.pos for name, disk in disks.items() if disk is not None and disk.pos is not None}
    for name, disk in disks.items():
        if name not in found:
            bus = _bus(disk, usual)
            taken = [found[other] for other in found if _bus(disks[other], usual) == bus]
            found[name] = free_position(bus, disk.scsi_index if disk else 0, taken)
    return found


def _usual_bus(needs: Needs | None) -> str:
    return "scsi" if needs is None else disk_type(needs.disks[0])


def _bus(disk: Disk | None, usual: str) -> str:
    return disk.type if disk else usual


def _drive(wish: _DiskWish) -> Drive:
    disk = wish.disk
    return Drive(
        name=wish.name,
        file=(disk.filename if disk else None) or f"{wish.machine}-{wish.name}.vmdk",
        size=(disk.size if disk else None) or _usual_size(wish),
        bus=_bus(disk, _usual_bus(wish.needs)),
        controller=disk.controller if disk else "lsilogic",
        index=wish.position[0],
        unit=wish.position[1],
        table="gpt" if wish.efi else "dos",
        boot=wish.boot,
        volumes=tuple(_numbered(_volume_wishes(wish), wish.path, "ext4" if wish.needs is None else "ntfs")),
    )


def _usual_size(wish: _DiskWish) -> int | None:
    """Of a disk whose content is not made here: double what an installation takes at least."""
    return None if wish.needs is None else 2 * wish.needs.disk


def _volume_wishes(wish: _DiskWish) -> Iterator[_VolumeWish]:
    """GPT knows neither extended nor logical partitions: there all are primary. Where the system's own installation
    makes its disks, they are those of the recipe alone."""
    partitions = wish.disk.partitions if wish.disk else {}
    made_here = wish.needs is None
    if made_here and wish.boot and wish.efi and not any(p.mount == "/boot/efi" for p in partitions.values()):
        yield _VolumeWish(option="esp", kind="esp", fs="vfat", size=ESP_SIZE, mount="/boot/efi")
    if made_here and wish.boot and not partitions:
        yield _VolumeWish(option="root", kind="primary", mount="/")
    for name, p in partitions.items():
        kind = _efi_kind(p) if wish.efi else p.type
        if kind:
            yield _VolumeWish(option=name, kind=kind, fs=p.fs, size=p.size, mount=p.mount, label=p.label)


def _efi_kind(partition: Partition) -> str:
    """ "" for an extended one, which there is none of."""
    if partition.type == "extended":
        return ""
    return "esp" if partition.mount == "/boot/efi" else "primary"


def _numbered(wishes: Iterable[_VolumeWish], path: str, usual: str) -> Iterator[Volume]:
    """Numbers as sfdisk(8) gives them. usual: the file system where the recipe names none."""
    top, logical = count(1), count(5)
    for wish in wishes:
        yield _volume(wish, next(logical if wish.kind == "logical" else top), path, usual)


def _volume(wish: _VolumeWish, number: int, path: str, usual: str) -> Volume:
    """path: of the disk."""
    fs = None if wish.kind == "extended" else wish.fs or usual
    seed = uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{path}/{wish.option}")
    return Volume(
        option=wish.option,
        number=number,
        kind=wish.kind,
        fs=fs,
        size=wish.size,
        mount=posixpath.normpath(wish.mount) if wish.mount else wish.mount,
        label=wish.label,
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
    adapters, sections, needs = recipe.hardware.eths, recipe.network.eths, recipe.hardware.os.needs
    usual = "e1000" if needs is None else needs.adapters[0]
    for name in dict.fromkeys((*adapters, *sections)) or {"eth0": None}:
        adapter = adapters.get(name)
        yield Nic(
            name=name,
            hw_addr=(adapter.hw_addr if adapter else None) or made_mac(recipe.name, name),
            type=adapter.type if adapter else "nat",
            adapter=adapter.adapter if adapter else usual,
            bridge=adapter.bridge if adapter else None,
            connected=adapter.connected if adapter else True,
        )
