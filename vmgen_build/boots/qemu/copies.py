"""A throwaway copy of a machine's disks, which alone is changed for a boot: its root file system gets the agent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.qemu.agent import agent_script, agent_unit
from vmgen_build.errors import BuildError
from vmgen_build.host.run import Word, output
from vmgen_build.plan.machine import Drive, Machine, Volume

UNITS = "/etc/systemd/system"
UNIT = "vmgen-verify.service"
SCRIPT = "vmgen-verify.sh"
WANTS = "sysinit.target.wants"

WRITABLE = ("ext2", "ext3", "ext4")
"""File systems that debugfs(8) writes to without mounting them."""


def throwaway(machine: Machine, disks: Sequence[Disk], scratch: Path) -> tuple[tuple[Path, str], ...]:
    """For each drive, a file that may be written to, and its format ("raw", "qcow2"). The boot drive's is raw.

    Raw images below `scratch` are throwaway already and taken as they are; all others stay as they are.
    """
    found = []
    for drive, disk in zip(machine.drives, disks, strict=True):
        original, copy = disk.path.absolute(), scratch / f"boot-{drive.name}.img"
        if disk.format == "raw" and original.is_relative_to(scratch.absolute()):
            found.append((disk.path, "raw"))
        elif drive.boot:
            _run(["qemu-img", "convert", "-f", disk.format, "-O", "raw", "-S", "4k", original, copy], scratch)
            found.append((copy, "raw"))
        else:
            backing: list[Word] = ["-F", disk.format, "-b", original]
            _run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, copy], scratch)
            found.append((copy, "qcow2"))
    return tuple(found)


def give_agent(machine: Machine, copies: Sequence[tuple[Path, str]], scratch: Path) -> str:
    """Put the agent into the copy's root file system; "", or why that cannot be done. Raises BuildError."""
    number, volume = _root(machine)
    if volume.fs not in WRITABLE:
        return f"nothing on this host writes to a {volume.fs} file system without mounting it"
    image, offset = copies[number][0], offset_of(copies[number][0], volume.number)
    for name, text in ((UNIT, agent_unit(f"{UNITS}/{SCRIPT}")), (SCRIPT, agent_script())):
        (scratch / name).write_text(text)
    commands = [f"mkdir {UNITS}/{WANTS}", f"cd {UNITS}", *(f"write {name} {name}" for name in (UNIT, SCRIPT))]
    commands += [f"cd {UNITS}/{WANTS}", f"symlink {UNIT} {UNITS}/{UNIT}"]
    (scratch / "debugfs").write_text("".join(f"{line}\n" for line in commands))
    place = f"{image.absolute()}?offset={offset}"
    written = _run(["debugfs", "-w", "-f", "debugfs", place], scratch)
    there = all(
        _run(["debugfs", "-R", f"cat {UNITS}/{name}", place], scratch) == (scratch / name).read_text()
        for name in (UNIT, SCRIPT)
    )
    if not there or UNIT not in _run(["debugfs", "-R", f"ls {UNITS}/{WANTS}", place], scratch):
        raise BuildError(f"cannot write to the root file system of the machine's copy:\n{written.strip()}")
    return ""


def offset_of(image: Path, number: int) -> int:
    """Where a raw image's partition begins, in bytes. Raises BuildError."""
    table = json.loads(_run(["sfdisk", "--json", str(image.absolute())], image.parent))["partitiontable"]
    for partition in table["partitions"]:
        if str(partition["node"]).endswith((f"{image.name}{number}", f"{image.name}p{number}")):
            return int(partition["start"]) * int(table.get("sectorsize", 512))
    raise BuildError(f"{image.name} has no partition {number}, which should hold the root file system")


def _run(command: Sequence[Word], folder: Path) -> str:
    return output(command, "cannot prepare a copy to boot", cwd=folder)


def _root(machine: Machine) -> tuple[int, Volume]:
    """The root's volume, and its drive's number."""
    for number, drive in enumerate(machine.drives):
        if (volume := _mounted_on_root(drive)) is not None:
            return number, volume
    raise BuildError("the manifest names no root file system; build the image anew")


def _mounted_on_root(drive: Drive) -> Volume | None:
    return next((volume for volume in drive.volumes if volume.mount == "/"), None)
