"""A whole machine in QEMU on this host: --host qemu:"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.result import Disks
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.bases.supply import COMPLETE, Request, supply_kind
from vmgen_build.build.choice import Emit, choose_base, choose_machine
from vmgen_build.build.finding import Finding
from vmgen_build.build.installing import disks_set_up, installed_problems, installed_requirements
from vmgen_build.build.job import Build
from vmgen_build.build.medium import choose_media
from vmgen_build.build.places.here import HerePlace, kept_for, look_of, minimal_requirements, note_waiting
from vmgen_build.build.places.model import Look
from vmgen_build.build.requirements import container_needs
from vmgen_build.errors import Problem, RecipeError, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.machines.imported import imported_disks, own_problems
from vmgen_build.guests.machines.minimal import minimal_disks, minimal_problems, plan_of_root
from vmgen_build.guests.machines.workshop import MachineWorkshop, MakeDisks, from_disks, stages_there
from vmgen_build.guests.model import Output, Workshop
from vmgen_build.guests.qemu.access import Access, BuildAgent, ByGuestAgent, Ssh
from vmgen_build.guests.qemu.agent import agent_script
from vmgen_build.guests.qemu.machines import QemuMachines, as_built, as_started, holds
from vmgen_build.guests.qemu.needs import MACHINE_HOST
from vmgen_build.guests.qemu.windows import NO_SHELL, WindowsByAgent, WindowsInQemu, as_started_windows
from vmgen_build.host.needs import Need, programs
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.host.undo import Undo
from vmgen_build.plan.bases import DiskMachine, Image, InstalledMachine, MinimalMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.minimal import WORK
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.complete import disk_type
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Hardware

NEEDED = (
    needed("qemu-system-x86_64", "runs the machine of a build"),
    needed("qemu-img", "keeps its states"),
)

BACKENDS = ("vmware", "kvm")
"""Those whose images are disks."""

TAKEN = (
    "what the base's disk holds is put on new disks; to start it as it is, write how to log in: [hardware] login, or"
    " communicator = agent (docs/machines.md)"
)

NO_TOOLS = "QEMU has no VMware Tools to speak to; write communicator = "

NO_LSILOGIC = "QEMU has no LSI Logic controller that Windows has a driver for; write type = "


class QemuPlace(HerePlace):
    """Namespaces, reaping and the choice of a base are those of this host."""

    @staticmethod
    def check_host(text: str) -> None:
        if text != "qemu:":
            raise UsageError(f"--host '{text}': QEMU runs on this host alone; write --host qemu:")

    def check_building(self) -> None:
        for name in self.options.backends:
            if name not in BACKENDS:
                raise UsageError(
                    f"--host qemu: the image of {name} is no disk, and a whole machine comes home as disks;"
                    f" take -b {' or -b '.join(BACKENDS)}, or leave --host out"
                )

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        self._check_shell(recipe)
        return self._looked(recipe, facts, None)

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        self._check_shell(recipe)
        return self._looked(recipe, facts, bus.emit)

    def problems(self, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
        found = super().problems(recipe, plan, look)
        if isinstance(plan.base, InstalledMachine):
            return found
        if not isinstance(plan.base, DiskMachine):
            return [*found, *minimal_problems(recipe)]
        return [*found, *own_problems(recipe), *_without_tools(recipe), *_without_drivers(recipe)]

    def kept_stages(self, plan: Plan, look: Look) -> int:
        store = self.options.store()
        return stages_there(plan, lambda state: holds(store, state))

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        there = self.options.use_cache and self.kept_stages(plan, look)
        if isinstance(plan.base, InstalledMachine):
            return NEEDED if there else (*NEEDED, *installed_requirements(plan))
        return NEEDED if there or isinstance(plan.base, DiskMachine) else (*NEEDED, *minimal_requirements(plan))

    @classmethod
    def needs(cls, backend: Backend, form: Format) -> tuple[Need, ...] | None:
        if backend.name not in BACKENDS or form.as_exported:
            return None
        return (*container_needs(), *MACHINE_HOST, *programs(*NEEDED))

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        if isinstance(build.plan.base, DiskMachine):
            machines, make_disks = self._of_own(build, build.plan.base)
        elif isinstance(build.plan.base, InstalledMachine):
            machines, make_disks = self._of_setup(build)
        else:
            machines, make_disks = self._of_minimal(build)

        with Undo() as undo:
            yield MachineWorkshop(build.plan, machines, from_disks(machines, make_disks), kept_for(build), undo)

    def _of_setup(self, build: Build) -> tuple[QemuMachines, MakeDisks]:
        machines = self._of_windows(build)
        return machines, lambda _: disks_set_up(build, machines)

    def _of_windows(self, build: Build) -> QemuMachines:
        machine = as_started_windows(Machine.from_json(build.plan.build_recipe[FILE]))
        return WindowsInQemu(**self._values(build), machine=machine, access=WindowsByAgent(), indexes=lambda: None)

    def _of_own(self, build: Build, base: DiskMachine) -> tuple[QemuMachines, MakeDisks]:
        if is_windows(build.recipe):
            machines = self._of_windows(build)
            machine = machines.machine
        else:
            machine = as_started(Machine.from_json(build.plan.build_recipe[FILE]))
            machines = QemuMachines(
                **self._values(build),
                machine=machine,
                access=access_to(base, build.recipe.hardware),
                indexes=lambda: self._indexes_here(build),
            )

        def make_disks(_: Output) -> AbstractContextManager[Disks]:
            with machines.store.downloads_in_use("bases"):
                return nullcontext(imported_disks(base, machine, machines.new_folder()))

        return machines, make_disks

    def _indexes_here(self, build: Build) -> Path | None:
        """Of the archive as it is now; a step reads them by the build's own list of sources."""
        plan, cache = build.plan, self.options.cache
        supply = supply_kind(plan.system).of_this_host(Request(plan.system, plan.mirror, plan.epoch), cache)
        indexes = supply.indexes(cache, build.look.facts.release)
        return indexes if (indexes / COMPLETE).exists() else None

    def _of_minimal(self, build: Build) -> tuple[QemuMachines, MakeDisks]:
        from vmgen_build.guests.lxc.workshop import LxcWorkshop

        assert isinstance(build.plan.base, MinimalMachine)
        small = plan_of_root(build.plan, build.plan.base)
        trees = LxcWorkshop(self.options.store(), build.leased, small, note_waiting(build.bus))
        machine = as_built(Machine.from_json(build.plan.build_recipe[FILE]))
        machines = QemuMachines(**self._values(build), machine=machine, access=BuildAgent(), indexes=trees.indexes_here)
        return machines, lambda output: minimal_disks(trees, small, machine, output)

    def _values(self, build: Build) -> dict[str, Any]:
        """Fields of QemuMachines that all of them have."""
        return {
            "store": self.options.store(),
            "folder": build.leased / "machines",
            "note": build.bus.note,
            "waiting": note_waiting(build.bus),
            "picture": build.log.with_suffix(".png"),
            "shell": self.options.on_error == "shell",
        }

    def _check_shell(self, recipe: Recipe) -> None:
        if self.options.on_error == "shell" and is_windows(recipe):
            raise UsageError(f"--on-error shell: {NO_SHELL}")

    def doctor(self) -> list[Finding]:
        from vmgen_build.build.doctor import qemu_findings

        return [*super().doctor(), *qemu_findings()]

    def _looked(self, recipe: Recipe, facts: Facts, emit: Emit | None) -> Look:
        if recipe.hardware.is_installed:
            if wrong := list(installed_problems(recipe)):
                raise RecipeError(wrong)
            return look_of(choose_media(recipe, facts))
        if recipe.hardware.is_started:
            look = look_of(choose_machine(recipe, facts, self.options, emit))
            communicator = "agent" if is_windows(recipe) else look.facts.communicator
            return replace(look, facts=replace(look.facts, communicator=communicator))
        look = look_of(choose_base(recipe, facts, self.options, emit))
        note = TAKEN if isinstance(look.facts.root, Image) else look.note
        return replace(look, facts=replace(look.facts, agent=agent_script(work=WORK)), note=note)


def access_to(base: DiskMachine, hardware: Hardware) -> Access:
    """How a user's machine is spoken to."""
    return ByGuestAgent() if base.communicator == "agent" else Ssh(GuestLogin.of(hardware))


def is_windows(recipe: Recipe) -> bool:
    return recipe.hardware.os.kind == "windows"


def _without_tools(recipe: Recipe) -> list[Problem]:
    hardware = recipe.hardware
    if hardware.communicator != "tools":
        return []
    text = NO_TOOLS + ("agent" if is_windows(recipe) else "ssh, or agent")
    return [Problem(hardware.at("communicator"), "[hardware] communicator", text, code="login")]


def _without_drivers(recipe: Recipe) -> list[Problem]:
    hardware = recipe.hardware
    if not is_windows(recipe):
        return []
    assert hardware.os.needs is not None
    text = NO_LSILOGIC + disk_type(hardware.os.needs.disks[0])
    return [
        Problem(disk.at("type"), place(("hardware", "hdds", disk.name), "type"), text, code="no-driver")
        for disk in hardware.hdds.values()
        if disk.type == "scsi" and disk.controller == "lsilogic"
    ]


PLACE = QemuPlace
