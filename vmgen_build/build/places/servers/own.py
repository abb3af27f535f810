"""A machine of the user's own as what a build on a server begins with: one that the server has, or disks of this
host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmgen_build.artifacts.disk.convert import convert
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.machines.cds import images_of, unchanged
from vmgen_build.backends.machines.disks import adapter_of
from vmgen_build.build.job import Build
from vmgen_build.errors import BuildError, Problem, RecipeError
from vmgen_build.events import Bus
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.machines.imported import imported_disks
from vmgen_build.guests.vsphere.access import BySsh, ByTools, ServerAccess
from vmgen_build.guests.vsphere.discs import Disc
from vmgen_build.guests.vsphere.inventory import Inventory
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.source import Source, find_source
from vmgen_build.guests.vsphere.windows import WindowsByTools, passwords_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.host.programs import needed
from vmgen_build.plan.bases import DiskMachine, PlacedMachine
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.text import size

NEEDED = (needed("qemu-img", "reads the base's disks"),)
"""Of this host, for disks that lie here."""

LINKED = "a linked clone's disks cannot grow: write clone = full, or leave size out"


def source_of(session: Session, inventory: Inventory, recipe: Recipe) -> Source | None:
    """The server's machine that the recipe names as its base; None where it names none.

    Raises RecipeError at the recipe's lines, HostError, BuildError.
    """
    base = recipe.hardware.base
    if base is None or base.kind != "vm":
        return None
    at = recipe.hardware.at("base")
    if session.about.kind == "ESXi":
        text = "an ESXi alone cannot clone machines; name a vCenter, or a disk image as base"
        raise RecipeError([Problem(at, "[hardware] base", text, code="base")])
    there = inventory.within(inventory.datacenter_named(session.address.datacenter, session.where))
    try:
        source = find_source(session, inventory, there, base)
    except ValueError as error:
        raise RecipeError([Problem(at, "[hardware] base", str(error), code="base")]) from error
    if problems := list(_wrong(recipe.hardware, source)):
        raise RecipeError(problems)
    return source


def placed(source: Source, hardware: Hardware) -> PlacedMachine:
    assert hardware.base is not None
    return PlacedMachine(hardware.base.machine, hardware.base.snapshot, source.state)


def check_same(source: Source | None, base: DiskMachine) -> Source:
    """Raises BuildError where the machine is another one than when the plan was made."""
    assert isinstance(base.image, PlacedMachine)
    if source is None or source.state != base.image.state:
        raise BuildError(f"{base.image.title} was changed while the build began; build again")
    return source


def is_windows(recipe: Recipe) -> bool:
    return recipe.hardware.os.kind == "windows"


def access_to(base: DiskMachine, recipe: Recipe) -> ServerAccess:
    """How a user's machine is spoken to."""
    login = GuestLogin.of(recipe.hardware)
    if is_windows(recipe):
        return WindowsByTools(login, passwords_of(recipe))
    return BySsh(login) if base.communicator == "ssh" else ByTools(login)


def discs_of(plan: Plan) -> tuple[Disc, ...]:
    """The images in the CD drives of the plan's machine. Raises BuildError where one has changed."""
    cds = Machine.from_json(plan.build_recipe[FILE]).cds
    return tuple(
        Disc(unchanged(plan, image).path, cds[image.drive].connected) for image in images_of(plan.build_recipe)
    )


@contextmanager
def disks_taken_here(build: Build, base: DiskMachine, machine: Machine) -> Iterator[Disks]:
    """The base's disks of this host as stream-optimized VMDKs in the build's lease. Raises VmgenError."""
    folder = build.leased / "own"
    folder.mkdir(mode=0o700)
    goals = [folder / drive.file for drive in machine.drives]

    def work(_bus: Bus) -> None:
        with build.options.store().downloads_in_use("bases"):
            disks = imported_disks(base, machine, folder)
        for disk, drive, goal in zip(disks.disks, machine.drives, goals, strict=True):
            raw = folder / f"{drive.name}.raw"
            convert(disk, raw, "raw")
            disk.path.unlink()
            write_vmdk(raw, goal, adapter=adapter_of(drive))
            raw.unlink()

    run_isolated(work, build.bus)
    drives = zip(machine.drives, goals, strict=True)
    yield Disks(tuple(Disk(drive.name, goal, "vmdk") for drive, goal in drives))


def _wrong(hardware: Hardware, source: Source) -> Iterator[Problem]:
    """What of the recipe the server's machine cannot be."""
    if not source.has_tools:
        text = (
            "has no VMware Tools, by which it is spoken to, and which report its address; install "
            f"{'open-vm-tools' if hardware.os.kind == 'linux' else 'VMware Tools'} in it"
        )
        yield Problem(hardware.at("base"), "[hardware] base", f"{hardware.base} {text}", code="base")
    if hardware.firmware != source.firmware:
        text = f"{hardware.base} boots by {source.firmware}; write firmware = {source.firmware}"
        yield Problem(hardware.at("firmware"), "[hardware] firmware", text, code="base")
    if not source.sizes:
        yield Problem(hardware.at("base"), "[hardware] base", f"{hardware.base} has no disk", code="base")
    disks = list(hardware.hdds.values())
    if len(disks) < len(source.sizes) and (disks or len(source.sizes) > 1):
        text = f"{hardware.base} has {len(source.sizes)} disks; add a section for each of them, in their order"
        yield Problem(hardware.at("hdds"), "[hardware] [[hdds]]", text, code="base")
    for disk, given in zip(disks, source.sizes, strict=False):
        if disk.size is None or disk.size == given:
            continue
        text = LINKED if hardware.clones_linked else ""
        if disk.size < given:
            text = f"the disk of {hardware.base} has {size(given)}; give it more, or leave size out"
        if text:
            yield Problem(disk.at("size"), place(("hardware", "hdds", disk.name), "size"), text, code="base")
    for disk in disks[len(source.sizes) :]:
        if disk.size is None:
            text = f"is none of {hardware.base}, and is made empty: give it a size"
            yield Problem(disk.at("size"), place(("hardware", "hdds", disk.name), "size"), text, code="base")
