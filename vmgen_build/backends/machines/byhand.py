"""INSTALL of a Windows that Setup makes: how its media, the machine and an empty disk become an image, by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.backends.machines.setupdrives import MEDIUM, SetupDrives
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.text.quote import TEXT
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

INSTALL = "INSTALL"


@dataclass(frozen=True, slots=True)
class _EmptyDisk:
    """size: as the program that makes it takes it. adapter: of vmware-vdiskmanager(1)."""

    file: str
    size: str
    adapter: str


def guide(recipe: Recipe, drives: SetupDrives, backend: str, files: Sequence[str], override: Path | None) -> str:
    """files: of the disks, in the order of the drives. Raises RecipeError as the Renderer."""
    hardware, machine, image = recipe.hardware, drives.machine, drives.first.floppy
    tools = hardware.tools.name if hardware.tools else ""
    on_cd = tools.lower().endswith(".iso")
    medium = drives.medium or MEDIUM
    drivers = hardware.drivers.name if hardware.drivers else ""
    cds = dict.fromkeys(cd for cd in (medium, f"{machine.name}-setup.iso", drivers, tools if on_cd else "") if cd)
    return Renderer(override, TEXT).render(
        "windows/INSTALL.j2",
        title=f"{machine.name}: {hardware.os.title}",
        name=machine.name,
        system=hardware.os.title,
        backend=backend,
        floppy=bool(image),
        medium=medium,
        drivers=drivers,
        tools=tools if on_cd else "",
        drive=drives.drive if not drives.medium else "",
        own=" ".join(dict.fromkeys(drives.own)),
        left=" and ".join(drives.left),
        installer=tools if not on_cd else "",
        tpm=hardware.os.needs is not None and hardware.os.needs.tpm,
        generalise=recipe.config.generalise,
        disks=list(_disks(machine, files)),
        first=_first(machine) if image else "",
        images=list(_images(list(cds), image)),
    )


def _first(machine: Machine) -> str:
    """Size of the first partition where it is not the disk's only one; "" else."""
    volumes = machine.drives[0].volumes
    return f"{(volumes[0].size or 0) >> 20} MiB" if len(volumes) > 1 else ""


def _disks(machine: Machine, files: Sequence[str]) -> Iterator[_EmptyDisk]:
    for drive, file in zip(machine.drives, files, strict=True):
        yield _EmptyDisk(file, f"{(drive.size or 0) >> 20}M", "ide" if drive.bus == "ide" else "lsilogic")


def _images(cds: Sequence[str], floppy: str) -> Iterator[str]:
    """As --disk of virt-xml(1) takes them."""
    for number, image in enumerate(cds):
        yield TEXT.quote(f"path={image},device=cdrom{',boot.order=2' if not number else ''}")
    if floppy:
        yield TEXT.quote(f"path={floppy},device=floppy")
