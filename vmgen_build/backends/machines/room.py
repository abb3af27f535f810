"""How much room a virtual machine's partitions give its system."""

from __future__ import annotations

from vmgen_build.artifacts.disk.layout import Content, comfortable, place
from vmgen_build.backends.machines.files import root_of, spelled
from vmgen_build.backends.room import Room
from vmgen_build.plan.machine import Volume, machine_of
from vmgen_build.recipe.checks.disks import SYSTEM_FOLDERS
from vmgen_build.recipe.problems import place as place_of
from vmgen_build.recipe.recipe import Recipe


def room_of(recipe: Recipe) -> Room | None:
    """That of all partitions that packages may write to; None where one of them grows with its content, and where the
    system's own installation makes them.

    Which package writes to which partition is not known. Raises BuildError as artifacts.disk.layout.place.
    """
    if recipe.hardware.os.needs is not None:
        return None
    machine = machine_of(recipe)
    holding = [(drive, volume) for drive, volume in machine.volumes() if _of_the_system(volume)]
    if any(drive.size is None and volume.size is None for drive, volume in holding):
        return None
    layouts = [(drive, place(drive, {})) for drive in {drive.name: drive for drive, _ in holding}.values()]
    size = sum(placed.size for _, layout in layouts for placed in layout.placed if _of_the_system(placed.volume))
    drive, root = root_of(machine)

    def usual(content: int) -> int:
        return comfortable(Content(content), root.fs)

    disk = recipe.hardware.hdds[drive.name]
    path, partition = ("hardware", "hdds", disk.name), disk.partitions.get(root.option)
    what = " for the system's partitions together" if len(holding) > 1 else ""
    if partition is None or partition.size is None:
        where, option, given, or_else = disk.at("size"), place_of(path, "size"), disk.size or 0, ", or none"
    else:
        where, given = partition.at("size"), partition.size
        option = place_of((*path, "partitions", partition.name), "size")
        or_else = "" if disk.size is None else ", and make room for it on the disk"
    return Room(size=size, given=given, where=where, option=option, usual=usual, what=what, or_else=or_else)


def _of_the_system(volume: Volume) -> bool:
    if not volume.mount or volume.fs == "swap":
        return False
    mount = spelled(volume.mount)
    return mount == "/" or any(mount == folder or mount.startswith(f"{folder}/") for folder in SYSTEM_FOLDERS)
