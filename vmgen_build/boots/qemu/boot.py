"""A throwaway copy of a machine's disks, booted in QEMU. Runs inside a worker of guests.namespaces."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmgen_build.boots.model import Booted
from vmgen_build.boots.network import answer_as_gateway, dhcp_server, knock, make_bridges
from vmgen_build.boots.qemu.agent import Agent
from vmgen_build.boots.qemu.args import Power, Wiring, arguments, reduced, replaced
from vmgen_build.boots.qemu.console import Console
from vmgen_build.boots.qemu.copies import give_agent, throwaway
from vmgen_build.boots.qemu.host import ACCELERATORS, own_firmware, power
from vmgen_build.boots.qemu.net import asked_inside, joined, make_taps
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.plan.machine import Machine
from vmgen_build.text import duration

ARCHITECTURES = ("amd64", "i386")

TIMEOUTS = {"kvm": 120.0, "tcg": 600.0}
"""Seconds that a boot may take by default."""

UP = ("running", "degraded")
BROKEN = ("maintenance", "stopping")
"""States of systemctl(1) is-system-running in which the boot has ended, well or not."""

SKIPPED = 77
"""Exit code of a probe that cannot be asked (backends.verify)."""

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
    machine: Machine, disks: Sequence[Path], bus: Bus, *, scratch: Path, timeout: float | None = None
) -> Iterator[VmBooted]:
    """Copy, start, wait until the system is up; everything is gone after it.

    disks: one for each of machine.drives, in order: raw, qcow2 or vmdk. Raw ones below `scratch` are throwaway and
    written to, others are never changed. timeout: seconds that the boot may take, by default TIMEOUTS.
    Raises BuildError with the console's last lines as soon as it is clear that the machine will not be up; HostError.
    """
    if machine.arch not in ARCHITECTURES:
        raise HostError(f"no {machine.arch} machine can be booted here: use --no-boot")
    given = power()
    for sentence in reduced(machine, given):
        bus.note(sentence, level="warning")
    for sentence in replaced(machine):
        bus.note(sentence, verbose=True)
    with ExitStack() as undo:
        copies = throwaway(machine, disks, scratch)
        reason = give_agent(machine, copies, scratch)
        nics = joined(machine.nics)
        undo.enter_context(dhcp_server(make_bridges(nics), scratch))
        firmware = own_firmware(scratch) if machine.firmware == "efi" else None
        qemu = undo.enter_context(_Qemu(machine, copies, firmware, make_taps(nics), given, scratch))
        seconds, state = _wait_until_up(qemu, not reason, timeout or TIMEOUTS[given.accel], QUESTIONS[given.accel])
        bus.note(f"booted in {duration(seconds)} ({ACCELERATORS[given.accel]}): {state}")
        if reason:
            bus.note(f"the machine's probes are skipped: {reason}", level="warning")
            yield VmBooted(Mute(reason))
            return
        try:
            answer_as_gateway(asked_inside(qemu.agent), nics)
        except BuildError as error:
            bus.note(f"ports will not be reached: {error}", level="warning")
        yield VmBooted(qemu.agent)


class _Qemu:
    """The running machine; leaving the context kills it."""

    def __init__(
        self,
        machine: Machine,
        copies: tuple[tuple[Path, str], ...],
        firmware: tuple[Path, Path] | None,
        taps: tuple[str, ...],
        given: Power,
        scratch: Path,
    ) -> None:
        self._errors = scratch / "qemu.log"
        self._unplugged = [number for number, nic in enumerate(machine.nics) if not nic.connected]
        self.console = Console(scratch / "console")
        self._wires = (*socket.socketpair(), *socket.socketpair())
        self.agent = Agent(self._wires[0], self.told)
        theirs = self._wires[1].fileno(), self._wires[3].fileno()
        self._arguments = arguments(machine, Wiring(copies, firmware, taps, scratch / "console", *theirs), given)

    def __enter__(self) -> _Qemu:
        _, inner, control, inner_control = self._wires
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(inner.fileno(), inner_control.fileno()),
                start_new_session=True,
            )
        inner.close()
        inner_control.close()
        try:
            if self._unplugged:
                _unplug(control, self._unplugged)
        except (OSError, ValueError) as error:
            self.__exit__()
            raise BuildError(f"cannot speak to QEMU: {error}\n{self.told()}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for wire in self._wires:
            wire.close()

    def ended(self) -> bool:
        return self._process.poll() is not None

    def told(self) -> str:
        """What QEMU said, and the end of the machine's console."""
        said = self._errors.read_text(errors="replace").strip().splitlines()[-5:]
        return "\n".join([*(f"QEMU said: {line}" for line in said), self.console.told()])


def _unplug(control: socket.socket, numbers: Sequence[int]) -> None:
    """Take the cables out of these interfaces (QMP, set_link). Raises OSError, ValueError."""
    control.settimeout(PATIENCE)
    with control.makefile("rw", encoding="utf-8") as speech:
        speech.readline()
        commands: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
        commands += [{"execute": "set_link", "arguments": {"name": f"nic{n}", "up": False}} for n in numbers]
        for command in commands:
            speech.write(json.dumps(command) + "\n")
            speech.flush()
            while "return" not in (answer := json.loads(speech.readline())):
                if "error" in answer:
                    raise ValueError(answer["error"].get("desc", answer["error"]))


def _wait_until_up(qemu: _Qemu, talks: bool, timeout: float, patience: float) -> tuple[float, str]:
    """The seconds that it took, and the state that the system is in. Raises BuildError.

    patience: seconds between two questions; each takes from an emulated processor what it could boot with. From the
    login prompt on, which comes towards the end, there is one at each look.
    """
    start, greeted, asked, state = time.monotonic(), False, 0.0, "no answer"
    while (passed := time.monotonic() - start) < timeout:
        _check_alive(qemu, passed)
        prompted = qemu.console.asks_for_login()
        if prompted and not talks:
            return passed, "asks for a login"
        greeted = greeted or (talks and qemu.agent.greeted(LOOK))
        if greeted and (prompted or time.monotonic() - asked > patience):
            state = qemu.agent.run("systemctl is-system-running", PATIENCE).out.strip()
            asked = time.monotonic()
            if state in UP:
                return asked - start, state
            if state in BROKEN:
                raise BuildError(f"the machine does not start: its system is in {state}\n{_failed(qemu)}{qemu.told()}")
        if greeted or not talks:
            time.sleep(LOOK)
    raise BuildError(f"the machine did not come up within {timeout:g} s ({state})\n{_jobs(qemu, greeted)}{qemu.told()}")


def _check_alive(qemu: _Qemu, passed: float) -> None:
    if qemu.ended():
        raise BuildError(f"the machine does not start: it ended after {duration(passed)}\n{qemu.told()}")
    if wrong := qemu.console.end():
        raise BuildError(f"the machine does not start: {wrong}\n{qemu.told()}")


def _jobs(qemu: _Qemu, greeted: bool) -> str:
    return _listed(qemu, "it waits for", "list-jobs --no-legend --no-pager") if greeted else ""


def _failed(qemu: _Qemu) -> str:
    return _listed(qemu, "these units failed", "list-units --state=failed --plain --no-legend --no-pager")


def _listed(qemu: _Qemu, title: str, words: str) -> str:
    lines = qemu.agent.run(f"systemctl {words}", PATIENCE).out.strip().splitlines()
    return "".join((f"{title}:\n", *(f"  {line}\n" for line in lines))) if lines else ""
