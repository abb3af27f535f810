"""The workshop of whole machines: one machine for the whole plan, and its states as layers.

A state is kept of the base, and after each step that installs something. All layers before one that is there count as
there too: the machine begins with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from vmgen_build.artifacts.result import Disks
from vmgen_build.bases.identity import wrong_release
from vmgen_build.errors import BuildError
from vmgen_build.guests.machines.guest import MachineGuest
from vmgen_build.guests.machines.model import PATIENCE, Hypervisor, RunningMachine
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.host.undo import Undo
from vmgen_build.plan.bases import Base, DiskMachine, MinimalMachine
from vmgen_build.plan.minimal import clearing, removal
from vmgen_build.plan.model import Plan
from vmgen_build.plan.text.render import Renderer

BETWEEN = "\n==\n"

RELEASE = """\
cat /etc/os-release 2>/dev/null | head -c 16384
printf '\\n==\\n'
cat /etc/debian_version 2>/dev/null | head -c 100
"""

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
        self._guest: MachineGuest | None = None

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
        if not isinstance(base, MinimalMachine | DiskMachine):
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
            assert isinstance(guest, MachineGuest)
            base, renderer = self.plan.base, Renderer(None)
            guest.run_last(removal(base, renderer) if isinstance(base, MinimalMachine) else clearing(renderer))
            yield guest.machine.take_disks()

    def _check_system(self, machine: RunningMachine) -> None:
        """Raises BuildError where a user's machine is of another system than the recipe says."""
        asked = machine.communicator.run(RELEASE, PATIENCE)
        release, _, debian = asked.out.partition(BETWEEN)
        if wrong := wrong_release(release, debian, self.plan.system):
            raise BuildError(f"{self.plan.base.title} {wrong}")

    def _begun(self, after: Sequence[str]) -> MachineGuest:
        """A layer that is not kept by itself is there where a later one is; the machine never begins with it."""
        states = [state for state in kept_states(self.plan, self.hypervisor.holds) if state in after]
        if not states or list(after) != self._ids[: len(after)] or states[-1] != after[-1]:
            raise BuildError("a layer of the machine has gone while the build ran; build again")
        with Undo() as undo:
            for state in states:
                undo.enter_context(self.hypervisor.in_use(state))
            machine = undo.enter_context(self.hypervisor.started(states))
            if isinstance(self.plan.base, DiskMachine):
                self._check_system(machine)
            self._machine.push(undo.pop_all())
        return MachineGuest(machine, self.plan, tuple(after), self._kept)
