"""box of the vmware backend: for Vagrant with its own provider VirtualBox ("VirtualBox: box format" of Vagrant's
documentation): what an OVA holds, under the name box.ovf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.artifacts.boxnames import METADATA, VAGRANTFILE
from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.format import MachineInOneFile
from vmgen_build.errors import BuildError, Problem
from vmgen_build.events import Bus
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.boots.model import Boot, Booted
    from vmgen_build.host.files import Written

DESCRIPTOR = "box.ovf"
OWN = (DESCRIPTOR, METADATA, VAGRANTFILE)


class VirtualBoxBox(MachineInOneFile):
    name: ClassVar[str] = "box"
    about: ClassVar[str] = "Vagrant with VirtualBox"
    endings: ClassVar[tuple[str, ...]] = (".box",)
    backends: ClassVar[tuple[str, ...]] = ("vmware",)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (
            f"vagrant box add --name {shown(machine)} {shown(files[0])}",
            f"vagrant init {shown(machine)} && vagrant up --provider virtualbox",
        )

    def problems(self, recipe: Recipe, plan: Plan) -> list[Problem]:
        text = "--format box: a box has a file of that name of its own; give the image another name"
        taken = [cd for cd in recipe.hardware.cds.values() if Path(cd.image or "").name in OWN]
        return [
            Problem(cd.at("image"), place(("hardware", "cds", cd.name), "image"), text, code="format") for cd in taken
        ]

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.plaintar import write_files
        from vmgen_build.backends.vagrant.texts import box_in, small_files
        from vmgen_build.backends.vmware.ova import packed_parts

        text, files = packed_parts(plan, result, bus)
        small = {**small_files(plan, "virtualbox"), DESCRIPTOR: text.encode()}
        large = {file.path.name: file for file in files}
        if twice := sorted(small.keys() & large.keys()):
            raise BuildError(f"a box has a {twice[0]} of its own; give the disk or CD image another name")
        written = write_files(box_in(out, plan, "virtualbox"), small, large, epoch=plan.epoch)
        return (written,)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        from vmgen_build.artifacts.box import take_out
        from vmgen_build.artifacts.disk.convert import opened
        from vmgen_build.artifacts.result import Disk
        from vmgen_build.artifacts.vmdk import extract

        machine = vmdisks.machine_of_manifest(manifest)
        wanted = {drive.file: boot.scratch / f"{drive.name}.vmdk" for drive in machine.drives}
        cds = {n: boot.scratch / f"cd{n}.iso" for n, cd in enumerate(machine.cds) if cd.connected and cd.file}
        wanted |= {machine.cds[number].file or "": goal for number, goal in cds.items()}
        take_out(artifact, wanted)
        raws = []
        for drive in machine.drives:
            raws.append(Disk(drive.name, boot.scratch / f"{drive.name}.raw"))
            with opened(wanted[drive.file]) as source:
                extract(source, raws[-1].path)
            wanted[drive.file].unlink()
        return vmdisks.booted_disks(machine, raws, boot, cds)


FORMAT = VirtualBoxBox()
