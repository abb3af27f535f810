"""What the backends of virtual machines share: a plan's part, disks in their formats, a copy to boot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.artifacts.result import Disk, Disks, Result
from vmgen_build.boots.model import Booted
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus, StepProgress
from vmgen_build.host.files import Written, sha256_of, whole_file
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Plan

MACHINE = "machine.json"
"""The build recipe's file that holds the machine."""

DISK_REQUIREMENTS = (
    Requirement("sfdisk", "fdisk", "partitions the disks"),
    Requirement("mke2fs", "e2fsprogs", "makes their file systems"),
)

BOOT_REQUIREMENTS = (
    Requirement("qemu-system-x86_64", "qemu-system-x86", "boots the image"),
    Requirement("qemu-img", "qemu-utils", "keeps the image itself unchanged"),
    Requirement("debugfs", "e2fsprogs", "lets the copy answer questions"),
    Requirement("ip", "iproute2", "makes the network that an image is verified in"),
    Requirement("dnsmasq", "dnsmasq-base", "gives addresses to an image that is verified"),
)

BOOT_TIMEOUT = 900.0
"""Seconds; an emulated processor takes minutes for what a real one does in seconds."""


def machine_in(build_recipe: Mapping[str, str]) -> Machine:
    return Machine.from_json(build_recipe[MACHINE])


def machine_of_manifest(manifest: Mapping[str, object]) -> Machine:
    """Raises HostError where the manifest describes no machine."""
    recipe = manifest.get("build_recipe")
    if not isinstance(recipe, Mapping) or MACHINE not in recipe:
        raise HostError("the manifest describes no virtual machine: build the image anew with this version")
    return machine_in(recipe)


def needs(plan: Plan) -> tuple[Requirement, ...]:
    """The programs that this machine's file systems are made by."""
    from vmgen_build.artifacts.disk.filesystems import programs
    from vmgen_build.artifacts.disk.tools import PACKAGES

    commands = programs(machine_in(plan.build_recipe))
    return tuple(Requirement(c, PACKAGES[c], "makes the machine's disks") for c in sorted(commands))


def raw_disks(plan: Plan, result: Result, bus: Bus) -> tuple[Disk, ...]:
    """The machine's disks: as they came home, or made of a tree, in its scratch folder."""
    if isinstance(result, Disks):
        return result.disks
    from vmgen_build.artifacts.disk.image import write_disks

    machine = machine_in(plan.build_recipe)
    disks = write_disks(machine, result.root, result.scratch, epoch=plan.epoch, progress=teller(bus))
    return tuple(Disk(disk.name, disk.path) for disk in disks)


def teller(bus: Bus) -> Callable[[int], None]:
    """Tells how many bytes a file of the packing holds."""
    return lambda done: bus.emit(StepProgress(step="pack", done=done, total=0, unit="bytes"))


def disk_names(stem: str, drives: Sequence[str], ending: str) -> list[str]:
    """The first disk bears the artifact's name alone, further ones their own beside it."""
    return [f"{stem}.{ending}" if not n else f"{stem}-{name}.{ending}" for n, name in enumerate(drives)]


def cd_name(stem: str, number: int) -> str:
    """Of the image in a CD drive, where it lies beside the disks. number: of the drive, from 0."""
    return f"{stem}-cd{number}.iso"


def pack_disks(disks: Sequence[Disk], out: Path, stem: str, ending: str, bus: Bus) -> tuple[Written, ...]:
    """Each disk as a file of its own. ending: "vmdk", "qcow2" or "raw"."""
    packed = []
    for disk, name in zip(disks, disk_names(stem, [disk.name for disk in disks], ending), strict=True):
        packed.append(
            _as_vmdk(disk.path, out / name, bus) if ending == "vmdk" else converted(disk.path, out / name, ending)
        )
        disk.path.unlink()
    return tuple(packed)


def _as_vmdk(raw: Path, goal: Path, bus: Bus) -> Written:
    from vmgen_build.artifacts.vmdk import write_vmdk

    return write_vmdk(raw, goal, progress=teller(bus))


def converted(source: Path, goal: Path, ending: str) -> Written:
    """By qemu-img(1), which keeps what is empty empty. Raises BuildError."""
    with whole_file(goal) as file:
        command = ["qemu-img", "convert", "-f", "raw", "-O", ending, "-S", "4k", str(source), file.name]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ran.returncode != 0:
            raise BuildError(f"cannot write {goal}: {ran.stderr.strip()}")
    return Written(goal, goal.stat().st_size, sha256_of(goal))


@contextmanager
def booted_files(machine: Machine, disks: list[Path], bus: Bus, *, scratch: Path, timeout: float) -> Iterator[Booted]:
    from vmgen_build.boots.qemu.boot import booted_vm

    with booted_vm(machine, disks, bus, scratch=scratch, timeout=timeout) as guest:
        yield guest


def copies(artifact: Path, manifest: Mapping[str, object], scratch: Path) -> list[Path]:
    """The disks of a --format vmdk, qcow2 or raw artifact as raw images that may be written to."""
    files = manifest.get("files")
    assert isinstance(files, list)
    names = [str(f["name"]) for f in files if str(f["name"]).endswith((".vmdk", ".qcow2", ".raw"))]
    found = []
    for number, name in enumerate(names):
        raw = scratch / f"{number}.raw"
        _to_raw(artifact.with_name(name), raw)
        found.append(raw)
    return found


def _to_raw(source: Path, goal: Path) -> None:
    if source.suffix == ".vmdk":
        from vmgen_build.artifacts.vmdk import extract

        extract(source, goal)
        return
    command = ["qemu-img", "convert", "-f", source.suffix[1:], "-O", "raw", "-S", "4k", str(source), str(goal)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ran.returncode != 0:
        raise BuildError(f"cannot read {source}: {ran.stderr.strip()}")
