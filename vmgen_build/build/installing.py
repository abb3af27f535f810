"""A machine that Setup of Windows makes in a build: what each place asks of a recipe, and puts into its drives; and the
way of QEMU on this host."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.artifacts.media import FLOPPY_REQUIREMENTS, ISO_REQUIREMENTS, write_floppy, write_iso
from vmgen_build.artifacts.result import Disks
from vmgen_build.bases.unpack import check_digest
from vmgen_build.build.job import Build
from vmgen_build.build.media import LABEL, OLDEST
from vmgen_build.catalogue.windows import VISTA
from vmgen_build.errors import BuildError, Problem
from vmgen_build.guests.communicators.windows import WindowsFacts
from vmgen_build.guests.machines.inserted import Inserted
from vmgen_build.guests.machines.windows import wrong_windows
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.bases import InstalledMachine
from vmgen_build.plan.context import Facts, PlanContext, guest_renderer
from vmgen_build.plan.model import Plan
from vmgen_build.plan.setupmedia import SetupMedia, media_of_build
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret

if TYPE_CHECKING:
    from vmgen_build.guests.qemu.machines import QemuMachines

NO_TOOLS = (
    "Setup puts in QEMU's guest agent, by which steps run, and no tools are named; write tools = virtio-win.iso, as"
    " [hardware] tools"
)

NO_TPM = (
    "Setup of {title} wants a TPM and secure boot, and --host {host} gives neither; take another os, or make the"
    " machine by what 'vmgen-build compile' writes"
)

NOBODY_LOGS_ON = (
    "Setup logs Administrator on once, by a password that a step changes then, and none is named; write root_passwd in"
    " [config]"
)

NO_DRIVER = "Setup of {title} has no driver for it in QEMU, and sees no disk; write type = {bus}"

NOT_BY = "a machine that Setup makes in QEMU is spoken to by the guest agent alone; take this line out"


def installed_requirements(plan: Plan) -> tuple[Requirement, ...]:
    return (*ISO_REQUIREMENTS, *(FLOPPY_REQUIREMENTS if plan.system.nt < VISTA else ()))


def installed_problems(recipe: Recipe) -> Iterator[Problem]:
    """What keeps Setup from making the recipe's machine by itself in QEMU."""
    hardware, system = recipe.hardware, recipe.hardware.os
    yield from shared_problems(recipe, SpokenTo("qemu:", NO_TOOLS, "agent", NOT_BY))
    for disk in hardware.hdds.values():
        if disk.type == "scsi":
            text = NO_DRIVER.format(title=system.title, bus="sata" if system.nt >= VISTA else "ide")
            yield Problem(disk.at("type"), place(("hardware", "hdds", disk.name), "type"), text, code="no-driver")


@dataclass(frozen=True, slots=True)
class SpokenTo:
    """How a place speaks to what Setup makes. host: the place, as --host names it. no_tools: the message where none are
    named. communicator: the only one; not_by: the message for another."""

    host: str
    no_tools: str
    communicator: str
    not_by: str


def shared_problems(recipe: Recipe, way: SpokenTo) -> Iterator[Problem]:
    """What keeps Setup from making the recipe's machine by itself, wherever that is."""
    hardware, system = recipe.hardware, recipe.hardware.os
    if system.needs is not None and (system.needs.tpm or system.needs.secure_boot):
        text = NO_TPM.format(title=system.title, host=way.host)
        yield Problem(hardware.at("os"), "[hardware] os", text, code="no-machine")
    if hardware.tools is None:
        yield Problem(hardware.at("base"), "[hardware] base", way.no_tools, code="tools")
    if hardware.communicator not in (None, way.communicator):
        yield Problem(hardware.at("communicator"), "[hardware] communicator", way.not_by, code="login")
    if recipe.config.root_passwd is None:
        yield Problem(hardware.at("base"), "[hardware] base", NOBODY_LOGS_ON, code="login")


@contextmanager
def disks_set_up(build: Build, machines: QemuMachines, patience: float | None = None) -> Iterator[Disks]:
    """What Setup makes. patience: as of set_up. Raises VmgenError."""
    from vmgen_build.guests.qemu.setup import set_up

    with drives_filled(build, _password(), vmware=False) as inserted:
        disks = set_up(machines, inserted, lambda facts: check_system(facts, build.plan), patience)
    yield disks


@contextmanager
def drives_filled(build: Build, password: Secret, *, vmware: bool) -> Iterator[Inserted]:
    """What Setup runs from. The answers, which hold a password and the product key, lie in the build's lease, and only
    within the context. password, vmware: as of media_of_build. Raises VmgenError."""
    base, folder = build.plan.base, build.leased / "setup"
    assert isinstance(base, InstalledMachine)
    folder.mkdir(mode=0o700)
    _check_same(base)
    recipe = build.recipe
    context = PlanContext(recipe, recipe.hardware.os, Facts(), (), guest_renderer(recipe, build.options.templates))
    answers = media_of_build(context, password, vmware=vmware)
    cd, floppy = folder / "answers.iso", folder / "answers.img"
    try:
        _write(answers, cd, floppy, max(build.plan.epoch, OLDEST))
        yield Inserted(title=base.title, cds=cds_of(base, cd), floppy=floppy if answers.floppy else None)
    finally:
        for path in (cd, floppy):
            path.unlink(missing_ok=True)


def _write(answers: SetupMedia, cd: Path, floppy: Path, epoch: int) -> None:
    write_iso(answers.cd, cd, label=LABEL, folder=cd.parent, epoch=epoch)
    if answers.floppy:
        write_floppy(answers.floppy, floppy, epoch=epoch)


def cds_of(base: InstalledMachine, answers: Path) -> tuple[Path, ...]:
    """The medium first, each image once. Tools that are no CD lie on that of the answers."""
    others = (base.media[option] for option in ("drivers", "tools") if option in base.media)
    more = {one.sha256: one.file for one in others if one.file.suffix.lower() == ".iso"}
    return (base.media["base"].file, answers, *more.values())


def _check_same(base: InstalledMachine) -> None:
    """Setup takes long, and what comes of it bears these digests. Raises BuildError where a file is another one now."""
    for medium in base.media.values():
        check_digest(medium.file, medium.sha256)


def check_system(facts: WindowsFacts, plan: Plan) -> None:
    """Raises BuildError where Setup made another Windows than the recipe says."""
    if wrong := wrong_windows(facts, plan):
        raise BuildError(wrong)


def _password() -> Secret:
    """Of 14 characters, which is what net user takes without a question, of the three kinds that servers ask for."""
    return Secret(f"Vm1-{secrets.token_hex(5)}")
