"""What VMware Tools do in a machine, whatever its system: files go there and come back, programs are started and asked
for.

vSphere Web Services API Reference, GuestOperationsManager. Each order takes some requests to the server, which passes
them on to the machine's host.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.session import Answer, Session
from vmgen_build.guests.vsphere.transfer import CHUNK, Transfers, Upload
from vmgen_build.limits import Limit
from vmgen_build.secret import Secret

GRACE = 60.0
"""Seconds beyond a script's own time after which a machine that is silent is taken for dead."""

LONGEST = 1.0
"""Seconds between two questions, at most."""


class GuestOperations:
    """machine: vim.VirtualMachine. login, password: of an account in it."""

    def __init__(self, session: Session, machine: Any, login: str, password: Secret) -> None:
        self._session, self._machine = session, machine
        self._login, self._password = login, password
        self._transfers = Transfers(session)
        manager: Any = session.content.guestOperationsManager
        self._files = session.read("asking for guest operations", lambda: manager.fileManager)
        self._processes = session.read("asking for guest operations", lambda: manager.processManager)
        self._accounts = session.read("asking for guest operations", lambda: manager.authManager)

    def let_in(self) -> None:
        """Raises BuildError where the machine takes no orders yet."""
        self._ask(
            "logging in to the machine",
            lambda: self._accounts.ValidateCredentialsInGuest(self._machine, self._who),
        )

    def begin(self) -> None:
        """What comes first in each boot."""
        return

    def _ask(self, what: str, question: Callable[[], Answer]) -> Answer:
        """As Session.read."""
        return self._session.read(what, question)

    def _do(self, what: str, order: Callable[[], Answer]) -> Answer:
        """As Session.order."""
        return self._session.order(what, order)

    @property
    def _who(self) -> Any:
        from pyVmomi import vim

        return vim.vm.guest.NamePasswordAuthentication(
            username=self._login, password=self._password.reveal(), interactiveSession=False
        )

    def _new_folder(self, prefix: str, parent: str) -> str:
        return str(
            self._do(
                "making a folder in the machine",
                lambda: self._files.CreateTemporaryDirectoryInGuest(self._machine, self._who, prefix, "", parent),
            )
        )

    def _start(self, program: str, arguments: str, folder: str) -> int:
        """The process's number in the guest."""
        from pyVmomi import vim

        spec = vim.vm.guest.ProcessManager.ProgramSpec(
            programPath=program, arguments=arguments, workingDirectory=folder
        )
        return int(
            self._do(
                "starting a program in the machine",
                lambda: self._processes.StartProgramInGuest(self._machine, self._who, spec),
            )
        )

    def _process(self, number: int) -> Any:
        """vim.vm.guest.ProcessManager.ProcessInfo. A guest that is busy may refuse orders for a moment."""
        began = time.monotonic()
        while True:
            try:
                found = self._ask(
                    "asking for a program in the machine",
                    lambda: self._processes.ListProcessesInGuest(self._machine, self._who, [number]),
                )
                break
            except BuildError:
                if time.monotonic() - began > GRACE:
                    raise
            time.sleep(LONGEST)
        if not found:
            raise BuildError(
                f"{self._session.where}: the machine does not know a program of the build any more; has it restarted?"
            )
        return found[0]

    def _give_up(self, number: int) -> None:
        with suppress(VmgenError):
            self._do(
                "ending a program in the machine",
                lambda: self._processes.TerminateProcessInGuest(self._machine, self._who, number),
            )

    def _send_as(self, file: IO[bytes], size: int, remote: str, attributes: Any) -> None:
        """attributes: vim.vm.guest.FileManager.FileAttributes."""
        url = self._do(
            "sending a file to the machine",
            lambda: self._files.InitiateFileTransferToGuest(self._machine, self._who, remote, attributes, size, True),
        )
        self._transfers.send(file, Upload(str(url), size), f"sending {remote} to the machine")

    def _receive(self, remote: str, goal: IO[bytes], limit: Limit) -> None:
        """Raises BuildError for more than the limit."""
        info = self._do(
            "fetching a file from the machine",
            lambda: self._files.InitiateFileTransferFromGuest(self._machine, self._who, remote),
        )
        size = 0
        with self._transfers.receive(str(info.url), f"fetching {remote} from the machine") as answer:
            while data := answer.read(CHUNK):
                size += len(data)
                if size > limit.amount:
                    raise BuildError(f"{shown(remote)} of the machine: {limit.exceeded}")
                goal.write(data)
