"""The PowerShell script that makes a machine in Hyper-V (Microsoft's reference of the module Hyper-V). Pure.

A machine with EFI is of generation 2, which has SCSI alone and takes VHDX alone; one with BIOS of generation 1, which
starts from its first IDE disk and has its CD drives there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.text.powershell import POWERSHELL
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.plan.text.render import Renderer

TEMPLATE = "hyperv/machine.ps1.j2"

SCSI_PLACES = 64
"""Of a controller; a machine has one to begin with ("Hyper-V scalability in Windows Server")."""

CD_PLACES = ((0, 1), (1, 0), (1, 1))
"""Controller and location of generation 1's IDE that the boot disk leaves."""

MEMORY_STEP = 2 << 20
"""Bytes of which Hyper-V takes a multiple (Set-VMMemory)."""


@dataclass(frozen=True, slots=True)
class _HardDisk:
    """copy: its name in the machine's folder. number, location: of its controller, and there."""

    file: str
    copy: str
    type: str
    number: Trusted
    location: Trusted
    boot: bool


@dataclass(frozen=True, slots=True)
class _Dvd:
    """file: "" for an empty drive."""

    file: str
    number: Trusted
    location: Trusted


@dataclass(frozen=True, slots=True)
class _Adapter:
    """index: among all."""

    name: str
    address: str
    connected: bool
    index: Trusted


def hyperv_script(machine: Machine, disks: Sequence[str], cds: Sequence[str]) -> str:
    """disks: names of the files beside the script, in the order of the drives; cds: the same for the CD drives, "" for
    an empty one.

    Raises BuildError for more drives than such a machine has places for, RecipeError for a name that PowerShell cannot
    carry.
    """
    from vmgen_build.boots.up import system_of

    generation = 2 if machine.firmware == "efi" else 1
    hard = list(_hard_disks(machine, disks, generation))
    return Renderer(None, POWERSHELL).render(
        TEMPLATE,
        name=machine.name,
        generation=_number(generation),
        efi=generation == 2,
        ram=_number(-(-machine.ram // MEMORY_STEP) * MEMORY_STEP),
        cpus=_number(machine.cpus),
        disks=hard,
        convert=any(disk.file != disk.copy for disk in hard),
        cds=list(_dvds(machine, cds, generation)),
        nics=list(_adapters(machine)),
        adapters=_number(len(machine.nics)),
        unsigned=system_of(machine.os).kind != "windows",
    )


def _hard_disks(machine: Machine, files: Sequence[str], generation: int) -> Iterator[_HardDisk]:
    behind = 0 if generation == 1 else 1
    for drive, file in zip(machine.drives, files, strict=True):
        copy = str(PurePath(file).with_suffix(".vhdx")) if generation == 2 else file
        if drive.boot:
            yield _HardDisk(file, copy, "IDE" if generation == 1 else "SCSI", _number(0), _number(0), True)
        else:
            yield _HardDisk(file, copy, "SCSI", _number(0), _number(behind), False)
            behind += 1
    if behind > SCSI_PLACES:
        raise BuildError(f"{machine.name} has more disks than Hyper-V's SCSI controller has places; leave some out")


def _dvds(machine: Machine, files: Sequence[str], generation: int) -> Iterator[_Dvd]:
    first = len(machine.drives)
    places = CD_PLACES if generation == 1 else [(0, number) for number in range(first, SCSI_PLACES)]
    if len(files) > len(places):
        raise BuildError(
            f"{machine.name} has {len(files)} CD drives, and a machine of Hyper-V's generation {generation} has places"
            f" for {len(places)}; leave some out"
        )
    for file, (number, location) in zip(files, places, strict=False):
        yield _Dvd(file, _number(number), _number(location))


def _adapters(machine: Machine) -> Iterator[_Adapter]:
    for number, nic in enumerate(machine.nics):
        yield _Adapter(nic.name, nic.hw_addr.replace(":", "").upper(), nic.connected, _number(number))


def _number(number: int) -> Trusted:
    return Trusted(str(number))
