"""incus-vm: a virtual machine's image for Incus and LXD, in one file ("unified tarball" of their image format).

metadata.yaml, templates/ and rootfs.img, a qcow2 image of the one disk. Beside it lies an instance's configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.compression import TAR_ENDINGS, parse_compression
from vmgen_build.backends.format import PackOptions, progress_on, shown
from vmgen_build.backends.lxc.backend import PACKING
from vmgen_build.backends.lxc.incus import TEMPLATES, YAML, Described, instance, limits_of, metadata
from vmgen_build.backends.lxc.instance import instance_beside, templates, write_instance
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineFormat
from vmgen_build.backends.machines.wanted import missing_packages, unused_cds
from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import BuildError, Problem
from vmgen_build.events import Bus
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Plan
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Disk, Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

DISK = "rootfs.img"
"""Its name in the tar."""

AGENT = "incus-agent"
"""Its name in the catalogue, which knows what it is called on each system."""
NO_AGENT = "--format incus-vm: without Incus's agent a machine answers to no 'incus exec', and bears the image's name"
NO_CDS = "--format incus-vm: an instance has the CD drives that its own devices name"


class IncusVm(MachineFormat):
    """Of the kvm backend alone: the tools of vmware's machines are of no use there."""

    name: ClassVar[str] = "incus-vm"
    about: ClassVar[str] = "Incus, LXD: a virtual machine"
    endings: ClassVar[tuple[str, ...]] = tuple(f".incus-vm{ending}" for ending in TAR_ENDINGS)
    backends: ClassVar[tuple[str, ...]] = ("kvm",)
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("qemu-img", "writes qcow2"),
        *PACKING,
    )

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        alias = shown(machine)
        return (
            f"incus image import {shown(files[0])} --alias {alias}",
            f"incus launch {alias} {shown(f'{machine}1')} --vm < {shown(files[1])}",
        )

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        return [*_problems(recipe), *_agentless(recipe, plan), *unused_cds(recipe, NO_CDS)]

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.disk.convert import convert
        from vmgen_build.artifacts.tarball import TarContent, write_tarball

        compression, machine = parse_compression(options.compression), vmdisks.machine_in(plan.build_recipe)
        (disk,) = vmdisks.machine_disks(plan, result, bus)
        goal = out / f"{plan.name}-{plan.arch}.{self.name}.tar{compression.suffix}"
        folder = disk.path.with_name(self.name)
        folder.mkdir(mode=0o755)
        convert(disk, folder / DISK, "qcow2").path.chmod(0o644)
        disk.path.unlink()
        content = TarContent(folder, ".", plan.epoch, (), _texts(plan, machine), ours=True)
        packed = write_tarball(goal, content, compression, progress=progress_on(bus), scratch=folder.parent)
        (folder / DISK).unlink()
        return packed, write_instance(goal, instance(_options(plan, machine), Renderer(None, YAML)))

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return (artifact.name, *instance_beside(artifact))

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        return vmdisks.booted_disks(machine, [_taken_out(artifact, manifest, machine, boot)], boot, {})


def _problems(recipe: Recipe) -> Iterator[Problem]:
    hardware = recipe.hardware
    if hardware.firmware != "efi":
        text = "Incus and LXD start virtual machines by EFI; for --format incus-vm write firmware = efi"
        yield Problem(hardware.at("firmware"), "[hardware] firmware", text, code="format")
    for name, disk in list(hardware.hdds.items())[1:]:
        text = "an image of Incus holds one disk; leave this one out, or take --format qcow2"
        yield Problem(disk.where, f"[hardware] [[hdds]] [[[{name}]]]", text, code="format")


def _agentless(recipe: Recipe, plan: Plan) -> Iterator[Problem]:
    """A warning, where the system has the agent and no step installs it."""
    agent = recipe.catalogue.resolve(AGENT, None, recipe.hardware.os)
    if isinstance(agent, Program):
        yield from missing_packages(recipe, plan, agent.packages, NO_AGENT, "warning")


def _texts(plan: Plan, machine: Machine) -> dict[str, str]:
    image = Described(
        name=plan.name,
        system=plan.system,
        epoch=plan.epoch,
        limits=limits_of(machine.cpus, machine.ram),
        requirements={"secureboot": "false"} if _unsigned(plan, machine) else {},
        templates=TEMPLATES if (rendered := _templates(plan)) else {},
    )
    return {"metadata.yaml": metadata(image, Renderer(None, YAML)), **rendered}


def _templates(plan: Plan) -> dict[str, str]:
    """The agent of Incus or LXD in the machine, where it has one, puts them in their places. They are of the plan's own
    files; none where it writes none, as for Windows."""
    files = [file for step in plan.steps if step.name == "system" for file in step.files]
    carried = {file.name: (file.content or b"").decode() for file in files if file.name in ("hostname", "hosts")}
    return templates(carried["hostname"], carried["hosts"]) if len(carried) == len(TEMPLATES) else {}


def _options(plan: Plan, machine: Machine) -> dict[str, str]:
    limits = limits_of(machine.cpus, machine.ram)
    return limits | {"security.secureboot": "false"} if _unsigned(plan, machine) else limits


def _unsigned(plan: Plan, machine: Machine) -> bool:
    """Whether the boot loader is ours, which nobody has signed. What starts a user's own disk is not known: it is made
    of nothing of ours."""
    return plan.system.needs is None and any(drive.volumes for drive in machine.drives)


def _taken_out(artifact: Path, manifest: Mapping[str, object], machine: Machine, boot: Boot) -> Disk:
    """The disk as a raw image that may be written to. Raises BuildError, HostError."""
    from vmgen_build.artifacts.disk.convert import to_raw
    from vmgen_build.artifacts.diskinatar import take_disk
    from vmgen_build.artifacts.result import Disk

    file, *others = vmdisks.listed_disks(artifact, manifest, machine, FORMAT.endings)
    if others:
        raise BuildError(f"the manifest has {len(others) + 1} disks, and an image of Incus holds one; build it anew")
    name, image = machine.drives[0].name, boot.scratch / "rootfs.qcow2"
    with file.opened() as source:
        take_disk(source, DISK, image)
    raw = Disk(name, boot.scratch / f"{name}.raw")
    to_raw(Disk(name, image, "qcow2"), raw.path)
    image.unlink()
    return raw


FORMAT = IncusVm()
