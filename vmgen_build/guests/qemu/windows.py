"""Machines in QEMU in which a plan for Windows runs: with the recipe's own network adapters, by whose addresses its
steps find them; shut down by their guest agent wherever their disks are to be whole. One that starts anew by itself
does so: QEMU ends where Windows has switched the machine off."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.communicators.agentline import AgentError
from vmgen_build.guests.communicators.windowsagent import WindowsAgent
from vmgen_build.guests.machines.model import PATIENCE
from vmgen_build.guests.machines.windows import ENDING, NOT_ENDED
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.access import ANSWER, Access, Startup, until_it_answers
from vmgen_build.guests.qemu.args import board_of
from vmgen_build.guests.qemu.machines import QemuMachine, QemuMachines
from vmgen_build.guests.qemu.process import Qemu
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Step
from vmgen_build.text import duration

STARTING = 1800.0
"""Seconds that a Windows may take until its agent answers: it may set up updates then."""

NO_SHELL = "there is no shell in a Windows by QEMU's guest agent; take: --on-error keep"

NO_AGENT = (
    "its guest agent does not answer; install virtio-win-guest-tools.exe of virtio-win in it, which brings the QEMU"
    " guest agent and the driver of its port, and shut it down"
)

NO_RIGHTS = "the guest agent of the machine gives no orders as an administrator; let its service log on as LocalSystem"


def local_time() -> str:
    """As QEMU takes it for the clock of a PC, which shows Windows the time of its place."""
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def as_started_windows(machine: Machine) -> Machine:
    """The machine as it is while it is built: it has no CDs."""
    return replace(machine, cds=())


class WindowsByAgent(Access):
    """A user's Windows, by the guest agent of virtio-win."""

    guest_agent = True
    patience = STARTING

    def opened(self, startup: Startup) -> Communicator:
        qemu = startup.qemu
        agent = WindowsAgent(qemu.guest_agent, qemu.last_words)
        until_it_answers(startup, agent, NO_AGENT)
        if not agent.facts.administrator:
            raise BuildError(NO_RIGHTS)
        startup.note(f"the machine is up after {duration(time.monotonic() - startup.began)}")
        return agent


@dataclass(kw_only=True)
class WindowsInQemu(QemuMachines):
    """The clock of a PC shows Windows the time of this place."""

    resets: ClassVar[bool] = True

    def machine_on(self, states: Sequence[str]) -> QemuMachine:
        return WindowsQemuMachine(self, states)

    def clock(self) -> str:
        return local_time()


class WindowsQemuMachine(QemuMachine):
    """Its state is kept while it is off, which it stays until it is spoken to again."""

    _is_off = False
    _boots = 0

    @property
    def communicator(self) -> Communicator:
        if self._is_off:
            self.start()
        return super().communicator

    def start(self) -> None:
        self._is_off = False
        self._boots += 1
        super().start()

    def snapshot(self, step: Step) -> None:
        self._halt()
        former, self._top = self._top, self._new_images()
        self._keep_state(step, former)

    def _boot_id(self) -> str:
        """Another one is a QEMU of its own."""
        return str(self._boots)

    def _start_anew(self) -> None:
        self._halt()
        self.start()

    def _trim(self) -> None:
        """Windows does so itself."""

    def _halt(self) -> None:
        if self._is_off:
            return
        qemu = self._running
        self._begin_to_end(qemu)
        try:
            code = qemu.wait(ENDING)
        except BuildError as error:
            raise BuildError(f"{NOT_ENDED}\n{error}") from error
        if code != 0:
            raise BuildError(f"QEMU ended with code {code} while Windows was shutting down\n{qemu.last_words()}")
        self.stop()
        self._is_off = True

    def _begin_to_end(self, qemu: Qemu) -> None:
        """By its agent; where that refuses or is silent, by the machine's power button."""
        agent = self._communicator
        assert isinstance(agent, WindowsAgent)
        with suppress(AgentError):
            if agent.answers(ANSWER):
                agent.shut_down()
                return
        qemu.control.execute("system_powerdown")

    def keep(self, folder: Path) -> str:
        """Whatever the step has done to it."""
        with suppress(VmgenError):
            self._halt()
        if not self._is_off:
            with suppress(VmgenError):
                self._running.control.execute("quit")
                self._running.wait(PATIENCE)
            self.stop()
        return self._left_in(folder)

    def _start_words(self) -> str:
        machine = self._machines.machine
        firmware = " -bios /usr/share/ovmf/OVMF.fd" if machine.firmware == "efi" else ""
        board = "q35" if any(drive.bus == "sata" for drive in machine.drives) else board_of(machine)
        return f"-machine {board} -m {machine.ram >> 20}M -rtc base=localtime{firmware}"
