"""The workshop of whole machines: one machine for the whole plan, and its states as layers.

A state is kept of the base, and after each step that installs something. All layers before one that is there count as
there too: the machine begins with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from vmgen_build.artifacts.result import Disks
from vmgen_build.errors import BuildError
from vmgen_build.guests.machines.guest import MachineGuest
from vmgen_build.guests.machines.model import Hypervisor
from vmgen_build.guests.machines.whole import WholeGuest
from vmgen_build.guests.machines.windows import WindowsGuest
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.host.undo import Undo
from vmgen_build.plan.bases import Base, DiskMachine, InstalledMachine, MinimalMachine
from vmgen_build.plan.model import Plan

_KINDS: Mapping[str, type[WholeGuest]] = {"linux": MachineGuest, "windows": WindowsGuest}
"""Family.kind -> what runs its steps."""

MakeDisks = Callable[[Output], AbstractContextManager[Disks]]
"""Makes the disks that the plan's machine begins with, on this host."""

Begin = Callable[[Base, Output], None]
"""Makes the first state, of the plan's base."""


def from_disks(hypervisor: Hypervisor, make_disks: MakeDisks) -> Begin:
    """Of disks that are made on this host."""

    def begin(base: Base, output: Output) -> None:
        with make_disks(output) as disks:
            hypervisor.take_in(base.id, disks, base.title)

    return begin


def kept_states(plan: Plan, holds: Callable[[str], bool]) -> tuple[str, ...]:
    """Ids of the plan's stages that a machine may begin with, as far as they are there."""
    wanted = [plan.base.id, *(step.id for step in plan.steps if step.installs)]
    return tuple(state for state in wanted if holds(state))


def stages_there(plan: Plan, holds: Callable[[str], bool]) -> int:
    """How many of the plan's first stages need not be made."""
    ids = [stage.id for stage in plan.stages]
    return max((ids.index(state) + 1 for state in kept_states(plan, holds)), default=0)


class MachineWorkshop(Workshop):
    """kept: gives a new folder's path, by a name for people, that a machine is left in. undo: of the build."""

    def __init__(
        self, plan: Plan, hypervisor: Hypervisor, begin: Begin, kept: Callable[[str], Path], undo: ExitStack
    ) -> None:
        self.plan, self.hypervisor = plan, hypervisor
        self._begin, self._kept = begin, kept
        self._machine = undo.enter_context(Undo())
        self._ids = [stage.id for stage in plan.stages]
        self._guest: WholeGuest | None = None

    def holds(self, layer_id: str) -> bool:
        return layer_id in self._ids[: stages_there(self.plan, self.hypervisor.holds)]

    @contextmanager
    def claim(self, layer_id: str) -> Iterator[None]:
        with self.hypervisor.claim(layer_id):
            yield

    @contextmanager
    def in_use(self, layer_id: str) -> Iterator[None]:
        if not self.hypervisor.holds(layer_id):
            yield
            return
        with self.hypervisor.in_use(layer_id):
            yield

    @contextmanager
    def written_back(self, layer_ids: Sequence[str]) -> Iterator[None]:
        with self.hypervisor.written_back([one for one in layer_ids if self.hypervisor.holds(one)]):
            yield

    def trouble(self) -> str:
        return self.hypervisor.trouble()

    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        if not isinstance(base, MinimalMachine | DiskMachine | InstalledMachine):
            raise BuildError(f"{self.hypervisor.where} starts from no {base.title}")
        self._begin(base, output)

    @contextmanager
    def guest(self, plan: Plan, after: Sequence[str]) -> Iterator[Guest]:
        """The machine lives on until the workshop ends, or until another build has made a layer that it lacks."""
        if self._guest is None or self._guest.after != tuple(after):
            self._machine.close()
            self._guest = self._begun(after)
        yield self._guest

    @contextmanager
    def result(self, layers: Sequence[str]) -> Iterator[Disks]:
        """The machine's disks; it is gone then."""
        with self.guest(self.plan, layers) as guest:
            assert isinstance(guest, WholeGuest)
            guest.end()
            yield guest.machine.take_disks()

    def _begun(self, after: Sequence[str]) -> WholeGuest:
        """A layer that is not kept by itself is there where a later one is; the machine never begins with it."""
        states = [state for state in kept_states(self.plan, self.hypervisor.holds) if state in after]
        if not states or list(after) != self._ids[: len(after)] or states[-1] != after[-1]:
            raise BuildError("a layer of the machine has gone while the build ran; build again")
        with Undo() as undo:
            for state in states:
                undo.enter_context(self.hypervisor.in_use(state))
            machine = undo.enter_context(self.hypervisor.started(states))
            guest = _KINDS[self.plan.system.kind](machine, self.plan, tuple(after), self._kept)
            if isinstance(self.plan.base, DiskMachine):
                guest.check_system()
            self._machine.push(undo.pop_all())
        return guest
