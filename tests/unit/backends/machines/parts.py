"""A recipe with disks of all kinds, and what the machine's own steps make of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vmgen_build.backends.machines.guest import vm_packages, vm_probes, vm_steps
from vmgen_build.plan.context import guest_renderer
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.plan.model import Probe, Step
from vmgen_build.recipe.recipe import Recipe

Recipes = Callable[..., Recipe]

BOOT = "[[[[[boot]]]]]\nfs = ext4\nsize = 300\nmount = /boot\n"
ROOT = "[[[[[root]]]]]\nfs = {fs}\nsize = 2G\nmount = /\n"
DISKS = """
[[hdds]]
[[[hdd0]]]
size = 8G
controller = pvscsi
[[[[partitions]]]]
[[[[[boot]]]]]
fs = ext2
size = 256
mount = /boot/
[[[[[root]]]]]
fs = ext4
size = 2G
mount = /
label = it's "$(id)"
[[[[[more]]]]]
type = extended
[[[[[swap]]]]]
type = logical
fs = swap
size = 256
[[[[[data]]]]]
type = logical
size = 1G
mount = /srv/my data
[[[[[old]]]]]
type = logical
fs = ext3
size = 100
[[[hdd1]]]
type = sata
size = 2G
[[[[partitions]]]]
[[[[[win]]]]]
fs = ntfs
size = 500
mount = /srv
[[[[[tree]]]]]
fs = btrfs
size = 500
mount = /home
[[[[[usb]]]]]
fs = vfat
mount = /media/usb
label = STICK
[[eths]]
[[[eth0]]]
hw_addr = 00:50:56:00:00:10
[[[lan]]]
hw_addr = 00:50:56:00:00:11
"""


def early(recipe: Recipe, hypervisor: str = "vmware", templates: Path | None = None) -> tuple[Step, ...]:
    return vm_packages(recipe, machine_of(recipe), guest_renderer(recipe, templates), hypervisor)


def late(recipe: Recipe) -> tuple[Step, ...]:
    return vm_steps(recipe, guest_renderer(recipe, None))


def probes_of(recipe: Recipe) -> tuple[Probe, ...]:
    return vm_probes(machine_of(recipe), recipe.hardware.os.family, guest_renderer(recipe, None))


def steps_of(recipe: Recipe) -> dict[str, Step]:
    return {step.name: step for step in early(recipe)}


def files_of(recipe: Recipe) -> dict[str, str]:
    return {f.name: (f.content or b"").decode() for f in steps_of(recipe)["machine"].files}


def uuid_of(machine: Machine, option: str) -> str:
    return next(v.uuid for _, v in machine.volumes() if v.option == option)
