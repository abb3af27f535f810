"""Drive letters of Windows: those that the recipe names, and the next free ones."""

from __future__ import annotations

from collections.abc import Mapping

from vmgen_build.plan.machine import Machine, Volume
from vmgen_build.recipe.types.unix import is_windows_path

LETTERS = "EFGHIJKLMNOPQRSTUVWXYZ"
"""In their order, for partitions whose mount names none; C is the system's, D the CD drive's."""


def letters_of(machine: Machine) -> Mapping[tuple[str, str], str]:
    """Drive and partition, by their names in the recipe -> letter. Of all disks together, but for the system's own
    partition, the first of the first disk, and for extended ones."""
    parts = [(drive.name, volume) for drive, volume in machine.volumes()]
    free = iter(letter for letter in LETTERS if letter not in {named_letter(volume) for _, volume in parts})
    own = parts[1:] if machine.drives[0].volumes else parts
    return {
        (name, volume.option): named_letter(volume) or next(free) for name, volume in own if volume.kind != "extended"
    }


def named_letter(volume: Volume) -> str:
    """ "" where its mount names none."""
    return volume.mount[0].upper() if volume.mount and is_windows_path(volume.mount) else ""
