"""A machine that Setup of Windows makes in a build, on a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.machines.disks import adapter_of
from vmgen_build.build.installing import SpokenTo, check_system, drives_filled, shared_problems
from vmgen_build.build.job import Build
from vmgen_build.build.medium import choose_media
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.here import look_of
from vmgen_build.build.places.model import Look
from vmgen_build.catalogue.hardware import BUSES, CD_BUS, cd_positions
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.vsphere.setup import set_up
from vmgen_build.guests.vsphere.setupkey import known_setup_key, setup_key
from vmgen_build.guests.vsphere.windows import WindowsByTools, WindowsMachines
from vmgen_build.plan.bases import InstalledMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.machine import Drive, machine_of
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe

ADMINISTRATOR = "Administrator"
"""As Setup is told its name."""

NO_TOOLS = (
    "Setup puts in VMware Tools, by which steps run, and no tools are named; write tools = windows.iso, as [hardware]"
    " tools"
)

NOT_BY = "a machine that Setup makes on a server is spoken to by VMware Tools alone; take this line out"

NO_DRIVER = "Setup of {title} has no driver for {kind}, and sees no disk; write type = {bus}"

NO_PLACE = (
    "Setup takes {wanted} CD drives, and the IDE controllers have places for {free}; put disks on another bus ({bus}),"
    " or drivers and tools on one CD"
)

NOT_IN_ORDER = (
    "Setup installs on the machine's first disk, which goes by bus (ide, scsi, sata, nvme) and then by position, and"
    " that is another than the recipe's first; write the disks in that order"
)

NO_KEY = "no machine was set up with this cache's key yet"


def setup_problems(recipe: Recipe) -> Iterator[Problem]:
    """What keeps Setup from making the recipe's machine by itself on a server."""
    hardware, system = recipe.hardware, recipe.hardware.os
    assert system.needs is not None
    yield from shared_problems(recipe, SpokenTo("vsphere:", NO_TOOLS, "tools", NOT_BY))
    drives = machine_of(recipe).drives
    for drive in drives:
        disk = hardware.hdds.get(drive.name)
        if disk is not None and drive.kind not in system.needs.disks:
            text = NO_DRIVER.format(title=system.title, kind=drive.kind, bus=system.needs.disks[0])
            yield Problem(disk.at("type"), place(("hardware", "hdds", disk.name), "type"), text, code="no-driver")
    if not _in_order(drives):
        yield Problem(hardware.where, "[hardware] [[hdds]]", NOT_IN_ORDER, code="media")
    wanted, free = _cd_count(recipe), len(cd_positions(_taken(drives)))
    if wanted > free:
        text = NO_PLACE.format(wanted=wanted, free=free, bus=system.needs.disks[0])
        yield Problem(hardware.at("base"), "[hardware] base", text, code="media")


def look_at_media(recipe: Recipe, facts: Facts, options: BuildOptions, *, prepares: bool) -> Look:
    """What Setup runs from. prepares: whether a key is made where the cache has none.

    Raises RecipeError at the recipe's lines, HostError.
    """
    if wrong := list(setup_problems(recipe)):
        raise RecipeError(wrong)
    look = look_of(choose_media(recipe, facts))
    key = setup_key(options.cache) if prepares else known_setup_key(options.cache)
    facts = replace(look.facts, setup_key=key.name if key is not None else "none", communicator="tools")
    return replace(look, facts=facts, unknown="" if key is not None else NO_KEY)


def access_by_key(build: Build, base: InstalledMachine) -> WindowsByTools:
    """As Administrator, whose password is that of the key until a step gives him the recipe's."""
    passwords = [setup_key(build.options.cache).password(base.id), build.recipe.config.root_passwd]
    return WindowsByTools(GuestLogin(ADMINISTRATOR), [one for one in passwords if one is not None])


def made_by_setup(build: Build, machines: WindowsMachines, base: InstalledMachine) -> None:
    """The first state. Raises VmgenError."""
    password = setup_key(build.options.cache).password(base.id)
    with drives_filled(build, password, vmware=True) as inserted:
        disks = _empty_disks(machines.machine.drives, build.leased / "setup")
        set_up(machines, base.id, disks, inserted, lambda facts: check_system(facts, build.plan))


def _empty_disks(drives: tuple[Drive, ...], folder: Path) -> Disks:
    """Stream-optimized VMDKs that hold nothing."""
    made = []
    for drive in drives:
        assert drive.size is not None
        raw, goal = folder / f"{drive.name}.raw", folder / drive.file
        with raw.open("xb") as file:
            file.truncate(drive.size)
        write_vmdk(raw, goal, adapter=adapter_of(drive))
        raw.unlink()
        made.append(Disk(drive.name, goal, "vmdk"))
    return Disks(tuple(made))


def _in_order(drives: tuple[Drive, ...]) -> bool:
    """Whether a server, which sorts disks by their places, has them in the recipe's order."""
    places = [(list(BUSES).index(drive.bus), drive.index, drive.unit) for drive in drives]
    return places == sorted(places)


def _taken(drives: tuple[Drive, ...]) -> set[tuple[int, int]]:
    return {(drive.index, drive.unit) for drive in drives if drive.bus == CD_BUS}


def _cd_count(recipe: Recipe) -> int:
    """The medium, the answers, and what else is an image, each once."""
    hardware = recipe.hardware
    others = {path for path in (hardware.drivers, hardware.tools) if path is not None and path.suffix.lower() == ".iso"}
    return 2 + len(others)
