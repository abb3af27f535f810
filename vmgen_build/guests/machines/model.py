"""Whole machines as guests: what runs them, and what one that runs can do. QEMU is one (guests.qemu.machines)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from vmgen_build.artifacts.result import Disks
from vmgen_build.bases.supply import Request, Supply
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.model import Communicator
from vmgen_build.plan.machine import Machine, Nic
from vmgen_build.plan.model import Step

PATIENCE = 300.0
"""Seconds for an order that does no more than look: an emulated processor that is at work takes long for anything."""

Note = Callable[[str], None]
"""Takes a sentence for the user."""

LARGE = 8 << 30
"""Bytes of a disk whose size the recipe leaves open: packages are still to come. It takes no room that is not used."""

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


def built_on(machine: Machine, nic: Nic) -> Machine:
    """The machine as it is while it is built: its build's interface alone, no CD, and disks that have room."""
    drives = tuple(replace(drive, size=drive.size or LARGE) for drive in machine.drives)
    return replace(machine, drives=drives, nics=(nic,), cds=())


class RunningMachine(ABC):
    """A machine that is up, and can be spoken to."""

    @property
    @abstractmethod
    def communicator(self) -> Communicator: ...

    @property
    def has_indexes(self) -> bool:
        """Whether the package indexes of the distribution's archive are in the guest's HOME (systems.model) already."""
        return False

    @abstractmethod
    def supply(self, request: Request) -> Supply:
        """How packages are fetched where it runs."""

    @abstractmethod
    def reached(self, settings: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The package manager's settings, by the names of their files, with this host's addresses as they are for the
        machine; and resolv.conf, where it has no name servers of its own."""

    @abstractmethod
    def snapshot(self, step: Step) -> None:
        """Keep its disks as they are after this step under its id, whole or not at all; it runs on."""

    def restart(self) -> None:
        """Return when it is up again: another boot, not the one before. Raises BuildError."""
        before = self._boot_id()
        self._start_anew()
        if self._boot_id() == before:
            raise BuildError("the machine did not start anew: it has the boot id that it had before")

    def _boot_id(self) -> str:
        """What no other boot of it has."""
        return self._run(BOOT_ID)

    @abstractmethod
    def _start_anew(self) -> None:
        """Return when it is up. Raises BuildError."""

    @abstractmethod
    def _run(self, script: str) -> str:
        """What a script of sh prints there. Raises BuildError where it fails."""

    @abstractmethod
    def picture(self, goal: Path) -> None:
        """Write what its screen shows as a PNG. Raises BuildError where none can be had."""

    def open_shell(self, command: str) -> None:
        """Run a command of sh on our own terminal, until it ends. Raises HostError where that is not possible."""
        raise HostError("there is no shell to open in this machine; take: --on-error keep")

    @abstractmethod
    def take_disks(self) -> Disks:
        """End it, in a state that its disks are whole in, and bring them to this host. It is of no more use."""

    @abstractmethod
    def keep(self, folder: Path) -> str:
        """End it, and leave its disks for people, in a new folder where they are kept here; how to start and how to
        remove it, as sentences."""


class Hypervisor(ABC):
    """What runs the machines of one plan. A state is what a machine's disks were at one time, under a name; each but
    the first stands on those before it."""

    where: ClassVar[str]
    """As errors name it."""

    @abstractmethod
    def holds(self, state: str) -> bool:
        """Whether it is there, with all that it stands on."""

    @abstractmethod
    def claim(self, state: str) -> AbstractContextManager[None]:
        """Hold the right to make this state; waits for another build that is making it."""

    @abstractmethod
    def in_use(self, state: str) -> AbstractContextManager[None]:
        """Keep a state that is there from being removed by another build."""

    @abstractmethod
    def written_back(self, states: Sequence[str]) -> AbstractContextManager[None]:
        """Meanwhile make sure that these states outlive a crash of what holds them."""

    @abstractmethod
    def take_in(self, state: str, disks: Disks, title: str) -> None:
        """Make the first state of these disks, which may be moved or removed."""

    @abstractmethod
    def started(self, states: Sequence[str]) -> AbstractContextManager[RunningMachine]:
        """A machine that begins with the last of these states, the others being those that it stands on. It is up, and
        gone after the context. Raises BuildError."""

    def trouble(self) -> str:
        """As Workshop.trouble."""
        return ""
