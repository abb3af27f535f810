"""A disk's file systems as a tree of this host, and back: run as a program, in namespaces of its own.

python -m tests.integration.vsphere.standin.roots unpack DISK.vmdk ROOT
python -m tests.integration.vsphere.standin.roots pack MACHINE.json EPOCH FOLDER LAYER...

The files of an EFI system partition are in the root, at its mount point, as in a machine that runs: there a builder
reads and writes them, and an export puts them back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.disk.convert import to_raw
from vmgen_build.artifacts.disk.image import write_disks
from vmgen_build.artifacts.disk.layout import GPT_ESP
from vmgen_build.artifacts.result import Disk
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.events import Bus
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Image
from vmgen_build.plan.machine import Machine

SECTOR = 512

ESP = "/boot/efi"
"""Where an EFI system partition is mounted."""

OVERLAY = "index=off,metacopy=off,redirect_dir=off"


def overlay_options(layers: Sequence[Path]) -> str:
    """The lower layers of overlayfs, the highest of which stands first there."""
    return f"lowerdir={':'.join(str(layer) for layer in reversed(layers))},{OVERLAY}"


def unpack(disk: Path, root: Path) -> None:
    scratch = root.with_suffix(".scratch")
    scratch.mkdir()
    half = root.with_suffix(".half")
    unpack_disk(Image(disk, "vmdk", sha256_of(disk)), scratch, half)
    table = half / "etc/fstab"
    if table.exists() and ESP in table.read_text():
        to_raw(Disk("disk", disk, "vmdk"), scratch / "disk.raw")
        unpack_esp(scratch / "disk.raw", half / ESP.lstrip("/"))
    shutil.rmtree(scratch)
    half.rename(root)


def unpack_esp(raw: Path, goal: Path) -> None:
    """What a build that begins with a disk leaves out (bases.diskimage). The kernel need not know the file system."""
    listed = subprocess.run(["sfdisk", "--json", raw], capture_output=True, text=True, check=True).stdout
    for part in json.loads(listed)["partitiontable"]["partitions"]:
        if part["type"] == GPT_ESP:
            goal.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mcopy", "-smn", "-i", f"{raw}@@{part['start'] * SECTOR}", "::*", goal], check=True)


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
