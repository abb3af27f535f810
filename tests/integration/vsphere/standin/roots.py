"""A disk's file systems as a tree of this host, and back: run as a program, in namespaces of its own.

python -m tests.integration.vsphere.standin.roots unpack DISK.vmdk ROOT
python -m tests.integration.vsphere.standin.roots pack MACHINE.json EPOCH FOLDER LAYER...

An EFI system partition comes back empty: its files are none of the root's (bases.diskimage). So what a machine with EFI
sends home does not boot, unlike one of a real server.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.disk.image import write_disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.events import Bus
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Image
from vmgen_build.plan.machine import Machine

OVERLAY = "index=off,metacopy=off,redirect_dir=off"


def overlay_options(layers: Sequence[Path]) -> str:
    """The lower layers of overlayfs, the highest of which stands first there."""
    return f"lowerdir={':'.join(str(layer) for layer in reversed(layers))},{OVERLAY}"


def unpack(disk: Path, root: Path) -> None:
    scratch = root.with_suffix(".scratch")
    scratch.mkdir()
    half = root.with_suffix(".half")
    unpack_disk(Image(disk, "vmdk", sha256_of(disk)), scratch, half)
    shutil.rmtree(scratch)
    half.rename(root)


def pack(description: Path, epoch: int, folder: Path, layers: Sequence[Path]) -> None:
    """DRIVE.vmdk for each drive, in the folder."""
    machine = Machine.from_json(description.read_text())
    root, empty = folder / "root", folder / "empty"
    root.mkdir()
    empty.mkdir()
    options = overlay_options([empty, *layers])
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    for raw in write_disks(machine, root, folder, epoch=epoch):
        write_vmdk(raw.path, folder / f"{raw.name}.vmdk")
        raw.path.unlink()


def main(words: Sequence[str]) -> None:
    def work(_: Bus) -> None:
        if words[0] == "unpack":
            unpack(Path(words[1]), Path(words[2]))
        else:
            pack(Path(words[1]), int(words[2]), Path(words[3]), [Path(word) for word in words[4:]])

    run_isolated(work, Bus())


if __name__ == "__main__":
    main(sys.argv[1:])
