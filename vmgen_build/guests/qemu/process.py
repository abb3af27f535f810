"""A running QEMU: one machine, its console, its agent, its control. Leaving the context kills it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import BuildError
from vmgen_build.guests.qemu.agent import WORK, Agent
from vmgen_build.guests.qemu.args import Power, Wiring, arguments
from vmgen_build.guests.qemu.console import Console
from vmgen_build.guests.qemu.host import KVM
from vmgen_build.guests.qemu.qmp import Qmp
from vmgen_build.host.confined import Reach, start_confined
from vmgen_build.host.run import TimeoutExpired, kill
from vmgen_build.host.undo import Undo
from vmgen_build.limits import READER_OUTPUT
from vmgen_build.plan.machine import Machine
from vmgen_build.text import duration

Image = Path | tuple[Path, ...]
"""A drive's: raw, or qcow2 images above each other (args.Wiring.disks)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a machine is started with; disks, cds, firmware and taps as Wiring has them, by their paths.

    work: the agent's folder in the guest. offered: an image that is read only, as Wiring has it; forwards: as there.
    guest_agent: whether it has a port for QEMU's guest agent; shell: whether it has a third serial port. floppy: an
    image; clock, installs, resets, terminal, window: as Wiring has them.
    """

    machine: Machine
    disks: tuple[Image, ...]
    cds: Mapping[int, Path]
    firmware: tuple[Path, Path] | None
    taps: tuple[int, ...] | None
    power: Power
    work: str = WORK
    offered: Path | None = None
    forwards: bool = False
    guest_agent: bool = False
    shell: bool = False
    clock: str = "utc"
    floppy: Path | None = None
    installs: bool = False
    resets: bool = False
    terminal: int | None = None
    window: bool = False

    def wiring(self, console: Path, ends: Sequence[int], undo: ExitStack) -> Wiring:
        """All files open, until `undo`. ends: QEMU's of the sockets for agent, control, guest agent and shell.
        Raises OSError."""

        def opened(path: Path, flags: int) -> int:
            fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, fd)
            return fd

        def disk(image: Image) -> int | tuple[int, ...]:
            if isinstance(image, Path):
                return opened(image, os.O_RDWR)
            below = [opened(path, os.O_RDONLY) for path in image[:-1]]
            return (*below, opened(image[-1], os.O_RDWR))

        firmware = None
        if self.firmware is not None:
            firmware = opened(self.firmware[0], os.O_RDONLY), opened(self.firmware[1], os.O_RDWR)
        return Wiring(
            disks=tuple(map(disk, self.disks)),
            cds={number: opened(image, os.O_RDONLY) for number, image in self.cds.items()},
            firmware=firmware,
            taps=self.taps,
            console=opened(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            agent=ends[0],
            control=ends[1],
            offered=opened(self.offered, os.O_RDONLY) if self.offered else None,
            forwards=self.forwards,
            guest_agent=ends[2] if self.guest_agent else None,
            shell=ends[3] if self.shell else None,
            clock=self.clock,
            floppy=opened(self.floppy, os.O_RDONLY) if self.floppy else None,
            installs=self.installs,
            resets=self.resets,
            terminal=self.terminal,
            window=self.window,
        )


class Qemu:
    """folder: for what it writes beside the machine's disks."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self.errors, console = folder / "qemu.log", folder / "console"
        self.console = Console(console)
        self._wires = tuple(socket.socketpair() for _ in range(4))
        self.second_port, control, self.guest_agent, self.shell = (ours for ours, _ in self._wires)
        self.agent = Agent(self.second_port, self.last_words, work=parts.work)
        self.control = Qmp(control)

    def __enter__(self) -> Qemu:
        parts = self.parts
        ends = [inner for _, inner in self._wires]
        with Undo() as undo:
            errors = undo.enter_context(self.errors.open("wb"))
            wiring = parts.wiring(self.console.file, [end.fileno() for end in ends], undo)
            command = arguments(parts.machine, wiring, parts.power)
            devices = (KVM,) if parts.power.accel == "kvm" else ()
            reach = Reach(wiring.fds, devices, memory=None, network=parts.taps is None)
            self._process = start_confined(command, reach, errors)
        for end in ends:
            end.close()
        return self

    def stop(self) -> None:
        kill(self._process)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.control.close()
        for pair in self._wires:
            for wire in pair:
                wire.close()

    @property
    def ended(self) -> bool:
        return self.code is not None

    @property
    def code(self) -> int | None:
        """QEMU's exit code; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself. Raises BuildError."""
        try:
            return self._process.wait(seconds)
        except TimeoutExpired as error:
            raise BuildError(f"QEMU did not end within {seconds:g} s\n{self.last_words()}") from error

    def picture(self, goal: Path) -> None:
        """Write what its screen shows as a PNG. Raises QmpError."""
        with goal.open("wb") as file:
            fdset = self.control.add_fd(file.fileno())
            self.control.execute("screendump", filename=f"/dev/fdset/{fdset}", format="png")

    def last_words(self) -> str:
        """What QEMU wrote, and the end of the machine's console."""
        with self.errors.open("rb") as file:
            lines = file.read(READER_OUTPUT.amount).decode(errors="replace").strip().splitlines()[-5:]
        return "\n".join([*(f"QEMU said: {line}" for line in lines), self.console.tail()])

    def forwarded_port(self) -> int:
        """The port of this host's loopback that leads to the machine's port 22. Raises BuildError.

        QEMU chose it, and HMP's "info usernet" alone says which: "TCP[HOST_FORWARD] 12 127.0.0.1 40123 10.0.2.15 22".
        """
        shown = str(self.control.execute("human-monitor-command", command_line="info usernet"))
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d{1,5})\s", shown)
        if match is None:
            raise BuildError(f"QEMU does not say which port of this host leads to the machine: {shown[:500]!r}")
        return int(match[1])

    def check_alive(self, passed: float, *, silent: bool = False) -> None:
        """passed: seconds since its start. silent: whether a system may start without a word on its serial port.
        Raises BuildError where it has ended, or will never be up."""
        if self.ended:
            raise BuildError(f"the machine does not start: it ended after {duration(passed)}\n{self.last_words()}")
        if wrong := self.console.end(silent=silent):
            raise BuildError(f"the machine does not start: {wrong}\n{self.last_words()}")
