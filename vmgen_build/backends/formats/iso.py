"""iso: a live image for CDs and sticks, which changes nothing on the computer that it runs on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import parse_compression
from vmgen_build.artifacts.live.loader import EFI_MODULES, MBR
from vmgen_build.backends.format import PackOptions, progress_on, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.files import CONSOLES
from vmgen_build.backends.machines.format import MachineInOneFile
from vmgen_build.backends.machines.wanted import missing_packages, unused_cds, whole_machine
from vmgen_build.errors import BuildError, Problem
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import DiskMachine, MinimalMachine
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

PACKAGE = "live-boot"
WHY = "--format iso: a live image finds its root by live-boot, which the recipe does not install"
EMPTY = ("dev", "proc", "sys", "run")
NO_CDS = "--format iso: a live image runs on whatever drives the computer has"
_MADE_BY = "makes a live image"


class LiveIso(MachineInOneFile):
    name: ClassVar[str] = "iso"
    about: ClassVar[str] = "CDs and sticks: a live system"
    backends: ClassVar[tuple[str, ...]] = ("kvm",)
    endings: ClassVar[tuple[str, ...]] = (".iso",)
    of_root: ClassVar[bool] = True
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *(needed(name, _MADE_BY) for name in ("mksquashfs", "xorrisofs", "grub-mkimage", "mkfs.vfat", "mmd", "mcopy")),
        *(needed(str(path), _MADE_BY) for path in (MBR, EFI_MODULES)),
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (
            f"qemu-system-x86_64 -accel kvm -m 2048 -cdrom {shown(files[0])}",
            f"dd if={shown(files[0])} of=/dev/sdX bs=4M conv=fsync",
        )

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        return [*_problems(recipe, plan), *unused_cds(recipe, NO_CDS)]

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.live import LiveContent, write_live
        from vmgen_build.artifacts.result import Tree

        if not isinstance(result, Tree):
            raise BuildError(
                "a live image is made of a root, and disks came home from this guest; build it without --host"
            )
        whole = plan.system.family.machine
        assert whole is not None
        content = LiveContent(
            root=result.root,
            title=plan.name,
            kernel="boot/vmlinuz",
            initrd=f"boot/{whole.initrd}",
            arguments=f"boot=live {CONSOLES}",
            empty=EMPTY,
            ident=hashlib.sha256(plan.id.encode()).hexdigest()[:16],
            firmwares=("bios", "efi") if plan.arch == "amd64" else ("bios",),
            epoch=plan.epoch,
        )
        goal, compression = out / f"{plan.name}-live-{plan.arch}.iso", parse_compression(options.compression)
        return (write_live(goal, content, compression, result.scratch, progress_on(bus)),)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        """As a stick: a disk that holds the image."""
        from vmgen_build.artifacts.result import Disk

        raw = boot.scratch / "stick.raw"
        with vmdisks.only_file(artifact, manifest).opened() as source:
            vmdisks.copy_to(source, raw)
        machine = on_a_stick(vmdisks.machine_of_manifest(manifest))
        return vmdisks.booted_disks(machine, [Disk(machine.drives[0].name, raw)], boot, {})


def on_a_stick(machine: Machine) -> Machine:
    """The machine with one disk alone, of whose content nothing is known."""
    stick = Drive(
        name="stick",
        file="stick.raw",
        size=None,
        bus="sata",
        controller="lsilogic",
        index=0,
        unit=0,
        table="gpt",
        boot=True,
        volumes=(),
    )
    return replace(machine, drives=(stick,), cds=())


def _problems(recipe: Recipe, plan: Plan) -> Iterator[Problem]:
    whole = whole_machine(recipe, LiveIso.name)
    if isinstance(whole, Problem):
        yield whole
    elif recipe.hardware.os.installer != "apt":
        system = recipe.hardware.os.name
        text = f"--format iso: live images are made of Debian and Ubuntu by live-boot, not of {system}; write debian-12"
        yield Problem(recipe.hardware.at("os"), "[hardware] os", text, code="format")
    elif isinstance(plan.base, MinimalMachine | DiskMachine):
        text = "--format iso is made of a root, and disks come home from a whole machine; build it without --host"
        yield Problem(recipe.hardware.at("os"), "[hardware] os", text, code="format")
    else:
        yield from missing_packages(recipe, plan, [PACKAGE], WHY)


FORMAT = LiveIso()
