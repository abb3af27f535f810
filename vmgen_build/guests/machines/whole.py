"""What guests that are whole machines share, whatever their system: states that are kept, what a failed step leaves."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vmgen_build.errors import VmgenError
from vmgen_build.guests.machines.model import RunningMachine
from vmgen_build.guests.model import Communicator, Guest
from vmgen_build.plan.model import Plan, Step


class WholeGuest(Guest):
    """after: ids of the layers that it is made of. kept: as of MachineWorkshop."""

    def __init__(
        self, machine: RunningMachine, plan: Plan, after: tuple[str, ...], kept: Callable[[str], Path]
    ) -> None:
        self.machine, self.plan, self.after, self._kept = machine, plan, after, kept
        self._folder = plan.system.family.step_folder

    @property
    def _there(self) -> Communicator:
        return self.machine.communicator

    @abstractmethod
    def check_system(self) -> None:
        """Raises BuildError where a user's machine is of another system than the recipe says."""

    @abstractmethod
    def end(self) -> None:
        """What the build itself has left in it goes. Raises BuildError."""

    def keep_layer(self, step: Step) -> None:
        self.after = (*self.after, step.id)
        if step.installs:
            self._put_away()
            self.machine.snapshot(step)

    def keep_for_inspection(self, step: Step) -> str:
        """Whatever the step has done to it."""
        with suppress(VmgenError):
            self._put_away()
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", step.name)[:100]
        how = self.machine.keep(self._kept(f"{self.plan.name}-{name}"))
        return f"kept the machine of step '{step.name}'; {how}"

    def _restart(self) -> None:
        self._put_away()
        self.machine.restart()

    @abstractmethod
    def _put_away(self) -> None:
        """What lies there for steps goes, before the machine's state is kept or it is switched off."""
