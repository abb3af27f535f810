"""Packing an OVA: the disks re-packed by our own writer, or as a server has sent them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmgen_build.artifacts.disk.convert import opened
from vmgen_build.artifacts.ova import write_ova
from vmgen_build.artifacts.ovf.nvram import with_nvram
from vmgen_build.artifacts.ovf.write import OvfFile, completed
from vmgen_build.artifacts.result import Disk, Disks, Result
from vmgen_build.artifacts.vmdk import VmdkError, check_vmdk
from vmgen_build.artifacts.vmdk.alone import check_alone
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.cds import images_of, unchanged
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.files import Written
from vmgen_build.plan.machine import Drive
from vmgen_build.plan.model import Plan

Packed = tuple[Written, int]
"""A disk's file, and the disk's capacity in bytes."""


def pack_ova(plan: Plan, result: Result, goal: Path, bus: Bus) -> Written:
    """Raises BuildError, HostError."""
    disks, folder = _disks(plan, result, bus)
    return _ova(plan, result, goal, [_packed(plan, drive, disk, folder, bus) for drive, disk in disks])


def pack_as_exported(plan: Plan, result: Result, goal: Path, bus: Bus) -> Written:
    """The same with the very streams that came from a server, which is re-read whole before it counts. Raises
    BuildError, HostError."""
    disks, folder = _disks(plan, result, bus)
    return _ova(plan, result, goal, [_as_it_came(drive, disk, folder) for drive, disk in disks], again=True)


def packed_parts(plan: Plan, result: Result, bus: Bus) -> tuple[str, list[Written]]:
    """The descriptor of such an OVA without NVRAM, and the files that it refers to, in scratch space, in order. Raises
    BuildError, HostError."""
    disks, folder = _disks(plan, result, bus)
    return _described(plan, [_packed(plan, drive, disk, folder, bus) for drive, disk in disks])


def _disks(plan: Plan, result: Result, bus: Bus) -> tuple[list[tuple[Drive, Disk]], Path]:
    """Each drive with its disk, and a new folder for their files, of which one may have the name of another's image."""
    disks = vmdisks.machine_disks(plan, result, bus)
    folder = disks[0].path.parent / "packed"
    folder.mkdir(mode=0o700)
    return list(zip(vmdisks.machine_in(plan.build_recipe).drives, disks, strict=True)), folder


def _ova(plan: Plan, result: Result, goal: Path, disks: list[Packed], *, again: bool = False) -> Written:
    text, files = _described(plan, disks)
    for nvram in _nvram(plan, result):
        files.append(nvram)
        text = with_nvram(text, OvfFile(nvram.path.name, nvram.size), len(files))
    return write_ova(goal, text, files, epoch=plan.epoch, again=again)


def _described(plan: Plan, disks: list[Packed]) -> tuple[str, list[Written]]:
    files = [written for written, _ in disks]
    described = [OvfFile(written.path.name, written.size, capacity) for written, capacity in disks]
    for image in (unchanged(plan, image) for image in images_of(plan.build_recipe)):
        files.append(image)
        described.append(OvfFile(image.path.name, image.size))
    return completed(plan.build_recipe[f"{plan.name}.ovf"], described, plan.id), files


def _packed(plan: Plan, drive: Drive, disk: Disk, folder: Path, bus: Bus) -> Packed:
    raw = vmdisks.as_raw(disk)
    capacity = raw.path.stat().st_size
    return vmdisks.pack_vmdk(plan, drive, raw, folder / drive.file, bus), capacity


def _as_it_came(drive: Drive, disk: Disk, folder: Path) -> Packed:
    """Refused where a foreign VMDK would be. Raises BuildError."""
    if disk.format != "vmdk":
        raise BuildError(f"the disk {drive.name} came home as {disk.format}, and not as a VMDK; take --format ova")
    try:
        with opened(disk.path) as file:
            check_alone(file)
            file.seek(0)
            capacity = check_vmdk(file).capacity
    except (ValueError, VmdkError) as error:
        raise BuildError(
            f"the server sent a disk {drive.name} that cannot be taken as it is: {error}; take --format ova, which"
            " packs it anew"
        ) from error
    return Written.of(disk.path.rename(folder / drive.file)), capacity


def _nvram(plan: Plan, result: Result) -> Iterator[Written]:
    if isinstance(result, Disks) and result.nvram is not None:
        folder = result.nvram.parent / "nvram"
        folder.mkdir(mode=0o700)
        yield Written.of(result.nvram.rename(folder / f"{plan.name}.nvram"))
