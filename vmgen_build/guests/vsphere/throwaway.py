"""A Windows that was made, on a server once more: to be asked, and destroyed."""

from __future__ import annotations

import time
from contextlib import suppress

from vmgen_build.artifacts.result import Disks
from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.tags import BUILD
from vmgen_build.guests.vsphere.waiting import Waiting
from vmgen_build.guests.vsphere.windows import WindowsByTools, WindowsMachines
from vmgen_build.secret import Secret
from vmgen_build.text import size

PAUSE = 5.0
"""Seconds between two attempts to be let in."""


class AfterSetup(WindowsByTools):
    """seconds: that the setup after sysprep may take until the account is there; 0 where there is none."""

    def __init__(self, login: GuestLogin, passwords: list[Secret], seconds: float) -> None:
        super().__init__(login, passwords)
        self._seconds = seconds

    def opened(self, waiting: Waiting) -> Communicator:
        began = time.monotonic()
        while True:
            try:
                return super().opened(waiting)
            except BuildError:
                if time.monotonic() - began > self._seconds:
                    raise
            waiting.check_on()
            time.sleep(PAUSE)


class ThrowawayMachines(WindowsMachines):
    """One machine, made of disks of this host; no layer comes of it. Its `started` takes no states."""

    def take(self, disks: Disks, what: str) -> None:
        """disks: as of importing.Wanted; they are removed once they are there. what: for the note."""
        maker = self.maker
        total = sum(disk.path.stat().st_size for disk in disks.disks)
        self.note(f"sending {what} to {maker.session.where} ({size(total)})")
        wanted = Wanted(maker.name(), maker.mark(BUILD), self.machine, disks)
        self._taken_in = "", import_machine(maker.session, maker.site, wanted)
        for disk in disks.disks:
            with suppress(OSError):
                disk.path.unlink()
