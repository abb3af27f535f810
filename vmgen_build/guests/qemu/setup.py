"""Setup of Windows in QEMU, by itself: from the medium and our answers, over restarts, until the machine is off.
Then it is started once more without them, and must answer.

The disks come before the medium in the order that firmware starts from: an empty one starts nothing, and after its
first restart Setup goes on from the disk. EFI's loader on a medium of Windows asks for a key in its first seconds, and
gets one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from vmgen_build.artifacts.result import Disks
from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.windows import WindowsFacts
from vmgen_build.guests.communicators.windowsagent import WindowsAgent
from vmgen_build.guests.machines.imported import empty_disk
from vmgen_build.guests.machines.inserted import Inserted
from vmgen_build.guests.machines.windows import ENDING, NOT_ENDED
from vmgen_build.guests.qemu.access import Startup
from vmgen_build.guests.qemu.args import reduced
from vmgen_build.guests.qemu.host import own_firmware, power
from vmgen_build.guests.qemu.machines import QemuMachines
from vmgen_build.guests.qemu.process import Parts, Qemu
from vmgen_build.guests.qemu.qmp import QmpError
from vmgen_build.plan.machine import CdDrive
from vmgen_build.plan.setupmedia import SAYS
from vmgen_build.text import duration

PATIENCE = {"kvm": 4 * 3600.0, "tcg": 12 * 3600.0}
"""Power.accel -> seconds that Setup may take: with hardware virtualisation it takes a quarter of an hour or more."""

LOOK = 1.0
"""Seconds between two looks at it."""

SHOWN = 600.0
"""Seconds after which a user hears that it is still at work."""

LOADING, PRESSING = 120.0, 10.0
"""Seconds in which keys are pressed once EFI starts the medium, and once its loader asks, which waits for 5."""

ASKS = "Press any key to boot from"
"""How it does (in English): the firmware shows it on the serial port too."""

KEY = "tab"
"""One that starts nothing where it comes too late."""

_FROM_CD = re.compile(r'BdsDxe: starting Boot[0-9A-F]{4} "[^"]*(?:CD|DVD)')
"""What OVMF writes when it starts a CD (edk2, BdsDxe)."""

_FAILED = re.compile(rf"{re.escape(SAYS)}.*")


def set_up(
    machines: QemuMachines, inserted: Inserted, check: Callable[[WindowsFacts], None], patience: float | None = None
) -> Disks:
    """The machine's disks as Setup leaves them. check: called with what the installed system says of itself; raises
    BuildError for another one than was meant. patience: seconds that Setup may take, in place of PATIENCE.

    Raises BuildError where Setup says that it failed, or does not come to its end; HostError.
    """
    folder = machines.new_folder()
    disks = Disks(tuple(empty_disk(drive, folder) for drive in machines.machine.drives))
    given = power()
    for sentence in reduced(machines.machine, given):
        machines.note(sentence)
    _Installation(machines, inserted, patience or PATIENCE[given.accel]).run(disks)
    _start_once(machines, disks, check)
    return disks


def _parts(machines: QemuMachines, disks: Disks) -> Parts:
    machine, access = machines.machine, machines.access
    return Parts(
        machine=machine,
        disks=tuple((disk.path,) for disk in disks.disks),
        cds={},
        firmware=own_firmware(machines.new_folder()) if machine.firmware == "efi" else None,
        taps=None,
        power=power(),
        forwards=access.forwards,
        guest_agent=access.guest_agent,
        clock=machines.clock(),
        resets=True,
    )


@dataclass(frozen=True)
class _Installation:
    machines: QemuMachines
    inserted: Inserted
    patience: float

    def run(self, disks: Disks) -> None:
        cds = self.inserted.cds
        drives = tuple(CdDrive(name=f"cd{number}", image=None, connected=True) for number in range(len(cds)))
        parts = _parts(self.machines, disks)
        parts = replace(
            parts,
            machine=replace(parts.machine, cds=drives),
            cds=dict(enumerate(cds)),
            floppy=self.inserted.floppy,
            installs=True,
        )
        with Qemu(parts, self.machines.new_folder()) as qemu:
            self.machines.note(f"{self.inserted.title} begins; it may take up to {duration(self.patience)}")
            self._wait(qemu)

    def _wait(self, qemu: Qemu) -> None:
        began = shown = time.monotonic()
        restarts = 0
        keys = _Keys(qemu)
        while qemu.code is None:
            now = time.monotonic()
            if now - began > self.patience:
                raise self._failure(qemu, f"did not end within {duration(self.patience)}")
            self._check(qemu)
            keys.press()
            if qemu.control.restarts > restarts:
                restarts, shown = qemu.control.restarts, now
                self.machines.note(f"{self.inserted.title} starts the machine anew after {duration(now - began)}")
            if now - shown > SHOWN:
                shown = now
                self.machines.note(f"{self.inserted.title} is at work since {duration(now - began)}")
            time.sleep(LOOK)
        if qemu.code != 0:
            raise BuildError(f"{self.inserted.title}: QEMU ended with code {qemu.code}\n{qemu.last_words()}")
        self.machines.note(f"{self.inserted.title} is done after {duration(time.monotonic() - began)}")

    def _check(self, qemu: Qemu) -> None:
        """Raises BuildError where it will never come to its end."""
        lines = qemu.console.lines()
        if failed := next((match[0] for line in lines if (match := _FAILED.search(line))), ""):
            raise self._failure(qemu, f"says: {failed}")
        if wrong := qemu.console.end(silent=True):
            raise self._failure(qemu, f"does not go on: {wrong}")
        with suppress(QmpError):
            status = qemu.control.execute("query-status")
            if status.get("status") == "io-error":
                raise self._failure(qemu, "stopped: its disk cannot be written; make room in the cache's file system")

    def _failure(self, qemu: Qemu, what: str) -> BuildError:
        shown = ""
        with suppress(QmpError):
            qemu.picture(self.machines.picture)
            shown = f"\nits screen: {self.machines.picture}"
        return BuildError(f"{self.inserted.title} {what}{shown}\n{qemu.last_words()}")


class _Keys:
    """What EFI's loader on a medium waits for: from when the firmware starts it until it has asked."""

    def __init__(self, qemu: Qemu) -> None:
        self._qemu = qemu
        self._end = 0.0 if qemu.parts.machine.firmware == "efi" else -1.0
        self._asked = False

    def press(self) -> None:
        """As long as there is something to press for. An emulated processor takes long to load the loader."""
        now = time.monotonic()
        if self._end < 0 or (self._end and now > self._end):
            return
        lines = self._qemu.console.lines()
        if not self._asked and any(ASKS in line for line in lines):
            self._asked, self._end = True, now + PRESSING
        elif not self._end and any(_FROM_CD.search(line) for line in lines):
            self._end = now + LOADING
        if self._end:
            with suppress(QmpError):
                self._qemu.control.execute("send-key", keys=[{"type": "qcode", "data": KEY}])


def _start_once(machines: QemuMachines, disks: Disks, check: Callable[[WindowsFacts], None]) -> None:
    """Without the media, from the disk alone: a state that nobody can speak to is none to begin with."""
    access, began = machines.access, time.monotonic()
    with Qemu(_parts(machines, disks), machines.new_folder()) as qemu:
        startup = Startup(
            qemu=qemu,
            name=machines.machine.name,
            note=machines.note,
            picture=machines.picture,
            own=access.own,
            began=began,
            patience=access.patience,
        )
        try:
            communicator = access.opened(startup)
            assert isinstance(communicator, WindowsAgent)
            check(communicator.facts)
            communicator.shut_down()
            _ended(qemu)
        finally:
            access.close()


def _ended(qemu: Qemu) -> None:
    """Return once Windows has switched the machine off. Raises BuildError."""
    try:
        code = qemu.wait(ENDING)
    except BuildError as error:
        raise BuildError(f"{NOT_ENDED}\n{error}") from error
    if code != 0:
        raise BuildError(f"QEMU ended with code {code} while Windows was shutting down\n{qemu.last_words()}")
