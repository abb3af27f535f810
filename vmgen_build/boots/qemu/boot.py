"""A throwaway copy of a machine's disks, booted in QEMU. Runs inside a worker of host.namespaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.model import SKIPPED, Boot, Booted
from vmgen_build.boots.network import answer_as_gateway, dhcp_server, knock, make_bridges
from vmgen_build.boots.qemu.copies import give_agent, throwaway
from vmgen_build.boots.qemu.net import ip_of, joined, open_taps
from vmgen_build.boots.up import NO_ANSWER, State, state_of, waits_for
from vmgen_build.boots.watch import KEPT_FREE, Watch
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.guests.qemu.args import reduced, replaced
from vmgen_build.guests.qemu.host import ACCELERATORS, own_firmware, power
from vmgen_build.guests.qemu.process import Parts, Qemu
from vmgen_build.guests.qemu.qmp import QmpError
from vmgen_build.host.undo import Undo
from vmgen_build.limits import CONSOLE, GUEST_TIME, READER_OUTPUT, Limit
from vmgen_build.plan.machine import Machine
from vmgen_build.text import duration

ARCHITECTURES = ("amd64", "i386")

QUESTIONS = {"kvm": 0.2, "tcg": 5.0}
"""Seconds between two questions whether the system is up."""

LOOK = 0.25
"""Seconds between two looks at the console."""

PATIENCE = 60.0
"""Seconds that a machine may take for an answer while it boots."""


class Mute(Communicator):
    """A machine that cannot be spoken to: every question is skipped, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def run(self, script: str, timeout: float | None = None) -> Ran:
        return Ran(SKIPPED, f"the machine booted to its login prompt, but cannot be asked: {self.reason}")

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        raise BuildError(f"cannot write {remote} in the booted machine: {self.reason}")

    def get(self, remote: str, local: Path) -> None:
        raise BuildError(f"cannot read {remote} in the booted machine: {self.reason}")

    def delete(self, remote: str) -> None:
        raise BuildError(f"cannot remove {remote} in the booted machine: {self.reason}")


class VmBooted(Booted):
    def __init__(self, communicator: Communicator) -> None:
        self._communicator = communicator

    @property
    def communicator(self) -> Communicator:
        return self._communicator

    def reach(self, address: str, port: int) -> str:
        """Where the machine cannot be asked for its networks, they are not known here, and nothing is reached."""
        if isinstance(self._communicator, Mute):
            return self._communicator.run("").out
        return knock(address, port)


@contextmanager
def booted_vm(
    machine: Machine, disks: Sequence[Disk], boot: Boot, cds: Mapping[int, Path] = MappingProxyType({})
) -> Iterator[VmBooted]:
    """Copy, start, wait until the system is up; everything is gone after it.

    disks: one for each of machine.drives, in order. Raw ones below boot.scratch are throwaway and written to, others
    are never changed. cds: by the number of its drive, the image in it, which is ours.
    Raises BuildError with the console's last lines as soon as it is clear that the machine will not be up; HostError.
    """
    if machine.arch not in ARCHITECTURES:
        raise HostError(f"no {machine.arch} machine can be booted here: use --no-boot")
    given, bus = power(), boot.bus
    for sentence in reduced(machine, given):
        bus.note(sentence, level="warning")
    for sentence in replaced(machine):
        bus.note(sentence, verbose=True)
    with Undo() as undo:
        copies = throwaway(machine, disks, boot.scratch)
        reason = give_agent(machine, copies)
        nics = joined(machine.nics)
        undo.enter_context(dhcp_server(make_bridges(nics), boot.scratch))
        firmware = own_firmware(boot.scratch) if machine.firmware == "efi" else None
        taps = undo.enter_context(open_taps(nics))
        qemu = undo.enter_context(Booting(Parts(machine, copies, cds, firmware, taps, given), boot))
        undo.enter_context(watched(boot.scratch, qemu.console.file, qemu.errors, qemu.stop))
        seconds, state = qemu.wait_until_up(talks=not reason)
        bus.note(f"booted in {duration(seconds)} ({ACCELERATORS[given.accel]}): {state}")
        if reason:
            bus.note(f"the machine's probes are skipped: {reason}", level="warning")
            yield VmBooted(Mute(reason))
            return
        try:
            answer_as_gateway(ip_of(qemu.agent), nics)
        except BuildError as error:
            bus.note(f"ports will not be reached: {error}", level="warning")
        yield VmBooted(qemu.agent)


def watched(
    scratch: Path, console: Path, errors: Path, end: Callable[[], None], time: Limit | None = GUEST_TIME
) -> Watch:
    """The bounds of a running machine. scratch: the folder of its disks. errors: what QEMU writes itself. time: how
    long it may run."""
    files = {console: CONSOLE, errors: READER_OUTPUT}
    return Watch("the booted machine", scratch, time, end, KEPT_FREE, files)


class Booting(Qemu):
    """The machine on its way. The cables of interfaces that are not connected are out."""

    def __init__(self, parts: Parts, boot: Boot) -> None:
        super().__init__(parts, boot.scratch)
        self._boot = boot

    def __enter__(self) -> Booting:
        super().__enter__()
        try:
            for number, nic in enumerate(self.parts.machine.nics):
                if not nic.connected:
                    self.control.execute("set_link", name=f"nic{number}", up=False)
        except QmpError as error:
            self.__exit__()
            raise BuildError(f"cannot speak to QEMU: {error}\n{self.last_words()}") from error
        return self

    def wait_until_up(self, talks: bool) -> tuple[float, str]:
        """The seconds that it took, and the state that the system is in. Raises BuildError.

        Between two questions some seconds pass; each takes from an emulated processor what it could boot with. From the
        login prompt on, which comes towards the end, there is one at each look.
        """
        pause, began = QUESTIONS[self.parts.power.accel], time.monotonic()
        greeted, asked, state = False, 0.0, NO_ANSWER
        while (passed := time.monotonic() - began) < self._boot.timeout:
            self.check_alive(passed)
            prompted = self.console.asks_for_login()
            if prompted and not talks:
                return passed, "asks for a login"
            greeted = greeted or (talks and self.agent.greeted(LOOK))
            if greeted and (prompted or time.monotonic() - asked > pause):
                state, asked = self._state(), time.monotonic()
                if state.up:
                    return asked - began, state.text
            if greeted or not talks:
                time.sleep(LOOK)
        waiting = waits_for(self.agent, PATIENCE) if greeted else ""
        text = f"the machine did not come up within {self._boot.timeout:g} s ({state.text})"
        raise BuildError(f"{text}\n{waiting}{self.last_words()}")

    def _state(self) -> State:
        """Raises BuildError where it will never be up."""
        state = state_of(self.agent, self._boot.up, PATIENCE)
        if state.broken:
            raise BuildError(f"the machine does not start: its system is in {state.text}\n{self.last_words()}")
        return state
