"""A throwaway copy of a machine's disks, which alone is changed for a boot: its root file system gets the agent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vmgen_build.artifacts.disk.convert import to_raw
from vmgen_build.artifacts.result import Disk
from vmgen_build.errors import BuildError
from vmgen_build.guests.qemu.agent import agent_script, agent_unit
from vmgen_build.host.confined import lent, output_confined
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.plan.machine import Drive, Machine, Volume

UNITS = "/etc/systemd/system"
UNIT = "vmgen-verify.service"
SCRIPT = "vmgen-verify.sh"
WANTS = "sysinit.target.wants"

WRITABLE = ("ext2", "ext3", "ext4")
"""File systems that debugfs(8) writes to without mounting them."""


FAILURE = "cannot prepare a copy to boot"


def throwaway(machine: Machine, disks: Sequence[Disk], scratch: Path) -> tuple[Path, ...]:
    """For each drive, a raw image that may be written to.

    Raw images below `scratch` are throwaway already and taken as they are; all others stay as they are.
    """
    found = []
    for drive, disk in zip(machine.drives, disks, strict=True):
        copy = scratch / f"boot-{drive.name}.img"
        if disk.format == "raw" and disk.path.absolute().is_relative_to(scratch.absolute()):
            copy = disk.path
        else:
            to_raw(disk, copy)
        found.append(copy)
    return tuple(found)


def give_agent(machine: Machine, copies: Sequence[Path]) -> str:
    """Put the agent into the copy's root file system; "", or why that cannot be done. Raises BuildError."""
    if not any(drive.volumes for drive in machine.drives):
        return "where its root file system lies is not known: it is a machine of the user's own, or a live image"
    number, volume = _root(machine)
    if volume.fs not in WRITABLE:
        return f"nothing on this host writes to a {volume.fs} file system without mounting it"
    offset = offset_of(copies[number], volume.number)
    texts = {UNIT: agent_unit(f"{UNITS}/{SCRIPT}"), SCRIPT: agent_script()}
    with ExitStack() as undo:
        image = undo.enter_context(copies[number].open("r+b", buffering=0))
        undo.enter_context(lent(image.fileno()))
        files = {name: undo.enter_context(in_memory(text.encode())) for name, text in texts.items()}
        commands = [f"mkdir {UNITS}/{WANTS}", f"cd {UNITS}"]
        commands += [f"write {name_of(file)} {name}" for name, file in files.items()]
        commands += [f"cd {UNITS}/{WANTS}", f"symlink {UNIT} {UNITS}/{UNIT}"]
        script = undo.enter_context(in_memory("".join(f"{line}\n" for line in commands).encode()))
        fds = [image.fileno(), script.fileno(), *(file.fileno() for file in files.values())]

        def debugfs(*words: str) -> str:
            return output_confined(["debugfs", *words, f"{name_of(image)}?offset={offset}"], FAILURE, fds)

        written = debugfs("-w", "-f", name_of(script))
        there = all(debugfs("-R", f"cat {UNITS}/{name}") == text for name, text in texts.items())
        if not there or UNIT not in debugfs("-R", f"ls {UNITS}/{WANTS}"):
            raise BuildError(f"cannot write to the root file system of the machine's copy:\n{written.strip()}")
    return ""


def offset_of(image: Path, number: int) -> int:
    """Where a raw image's partition begins, in bytes. Raises BuildError."""
    with image.open("rb") as file, lent(file.fileno()):
        text = output_confined(["sfdisk", "--json", name_of(file)], FAILURE, [file.fileno()])
        node = name_of(file)
    table = json.loads(text)["partitiontable"]
    for partition in table.get("partitions", ()):
        if str(partition["node"]).removeprefix(node).removeprefix("p") == str(number):
            return int(partition["start"]) * int(table.get("sectorsize", 512))
    raise BuildError(f"{image.name} has no partition {number}, which should hold the root file system")


def _root(machine: Machine) -> tuple[int, Volume]:
    """The root's volume, and its drive's number."""
    for number, drive in enumerate(machine.drives):
        if (volume := _mounted_on_root(drive)) is not None:
            return number, volume
    raise BuildError("the manifest names no root file system; build the image anew")


def _mounted_on_root(drive: Drive) -> Volume | None:
    return next((volume for volume in drive.volumes if volume.mount == "/"), None)
