"""All disks of a machine as sparse raw images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.disk import bootloader
from vmgen_build.artifacts.disk.content import VolumeSource, sources
from vmgen_build.artifacts.disk.filesystems import Making, check_content, make
from vmgen_build.artifacts.disk.layout import Content, Layout, place, sfdisk_script
from vmgen_build.artifacts.disk.tools import Tools, full, new_file
from vmgen_build.artifacts.progress import Progress
from vmgen_build.errors import BuildError
from vmgen_build.host.files import is_full
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.recipe.partitioning import MIB

SFDISK = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never")

METADATA = 32 * MIB
"""Bytes that a file system writes beside its content, at most; what is zero takes no room."""


@dataclass(frozen=True, slots=True)
class RawDisk:
    """name: the drive's. size: bytes, of which a sparse file holds few."""

    name: str
    path: Path
    size: int
    layout: Layout


def write_disks(
    machine: Machine, root: Path, folder: Path, *, epoch: int, progress: Progress | None = None
) -> tuple[RawDisk, ...]:
    """Write `folder`/NAME.raw for each drive, in order, from the root file system at `root`, which is only read.

    Needs root and a mount namespace of its own. epoch: seconds; no file is younger. progress: of the bytes
    that the images hold. Raises BuildError (a content does not fit), HostError (disk full, program missing); then no
    image is left.
    """
    folder = folder.absolute()
    mounts = [v.mount for _, v in machine.volumes() if v.mount and v.fs != "swap"]
    with ExitStack() as undo:
        scratch = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vmgen-disk-", dir=folder)))
        found = undo.enter_context(sources(root, mounts, scratch))
        layouts = [place(drive, _contents(drive, found)) for drive in machine.drives]
        _check_host(folder, found)
        maker = _DiskMaker(machine, root, found, Tools(scratch, epoch, progress))
        disks = []
        with ExitStack() as remove:
            for drive, layout in zip(machine.drives, layouts, strict=True):
                image = folder / f"{drive.name}.raw"
                remove.callback(image.unlink, missing_ok=True)
                maker.write(drive, layout, image)
                disks.append(RawDisk(drive.name, image, layout.size, layout))
            remove.pop_all()
        return tuple(disks)


def _contents(drive: Drive, found: dict[str, VolumeSource]) -> dict[str, Content]:
    return {v.option: found[v.mount].content for v in drive.volumes if v.mount in found}


def _check_host(folder: Path, found: dict[str, VolumeSource]) -> None:
    need = sum(source.content.size + METADATA for source in found.values())
    free = shutil.disk_usage(folder).free
    if free < need:
        raise full(folder, free, need)


@dataclass(frozen=True, slots=True)
class _DiskMaker:
    """root: of the tree; found: the content of each volume, by mount point."""

    machine: Machine
    root: Path
    found: Mapping[str, VolumeSource]
    tools: Tools

    def write(self, drive: Drive, layout: Layout, image: Path) -> None:
        makings = [Making(image, drive, p, self.found.get(p.volume.mount or "")) for p in layout.placed]
        for making in makings:
            check_content(making)
        try:
            image.unlink(missing_ok=True)
            self.tools.images.append(new_file(image, layout.size))
            if layout.placed:
                self.tools.run([*SFDISK, image], text=sfdisk_script(self.machine.name, drive, layout))
            for making in makings:
                make(making, self.tools)
                self.tools.report()
            if drive.boot and self.machine.firmware == "bios":
                bootloader.install(image, self.root)
        except OSError as error:
            if is_full(error):
                raise full(image.parent, shutil.disk_usage(image.parent).free) from error
            raise BuildError(f"cannot write {image}: {error.strerror}") from error
