"""Speaking to a machine by its VMware Tools: files go to a folder in its memory, programs are started and asked for.

vSphere Web Services API Reference, GuestOperationsManager. Each order takes some requests to the server, which passes
them on to the machine's host; a program's output comes back as a file.
"""

from __future__ import annotations

import io
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from vmgen_build.errors import TIMED_OUT, BuildError, VmgenError
from vmgen_build.guests.communicators.pauses import pauses
from vmgen_build.guests.model import PATH, Communicator, Ran, no_answer
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.transfer import CHUNK, Transfers, Upload
from vmgen_build.limits import MACHINE_LINE, UNPACKED, Limit
from vmgen_build.secret import Secret

MEMORY = "/dev/shm"  # noqa: S108 - of a guest that is ours alone

GRACE = 60.0
"""Seconds beyond a script's own time after which a machine that is silent is taken for dead."""

FIRST, LONGEST = 0.02, 1.0
"""Seconds between two questions whether a program has ended: the first, and the most after many."""


class ToolsCommunicator(Communicator):
    """machine: vim.VirtualMachine. login, password: of an account in it, which is root or `become_root`."""

    def __init__(self, session: Session, machine: Any, login: str, password: Secret) -> None:
        self._session, self._machine = session, machine
        self._login, self._password = login, password
        self._transfers = Transfers(session)
        manager: Any = session.content.guestOperationsManager
        self._files = session.read("asking for guest operations", lambda: manager.fileManager)
        self._processes = session.read("asking for guest operations", lambda: manager.processManager)
        self._accounts = session.read("asking for guest operations", lambda: manager.authManager)
        self._folder, self._prefix = "", ""

    def let_in(self) -> None:
        """Raises BuildError where the machine takes no orders yet."""
        self._session.read(
            "logging in to the machine",
            lambda: self._accounts.ValidateCredentialsInGuest(self._machine, self._who),
        )

    def begin(self) -> None:
        """A folder for what follows; one for each boot, since it lies in memory."""
        self._folder = self._session.order(
            "making a folder in the machine",
            lambda: self._files.CreateTemporaryDirectoryInGuest(self._machine, self._who, "vmgen-build", "", MEMORY),
        )

    def become_root(self) -> bool:
        """Whether orders are root's from now on."""
        if self._is_root():
            return True
        self._prefix = "sudo -n -- "
        return self._is_root()

    def _is_root(self) -> bool:
        return self.run('[ "$(id -u)" = 0 ]', GRACE).code == 0

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """A script that takes longer than `timeout` seconds ends with code 124, as by timeout(1)."""
        data = script.encode()
        self._send(io.BytesIO(data), len(data), f"{self._folder}/script", 0o600)
        code = self._ended(self._started(timeout), timeout)
        out = self._output().decode(errors="replace")
        return no_answer(timeout) if code == TIMED_OUT and not out else Ran(code, out)

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        goal = f"{self._folder}/put" if self._prefix else remote
        with local.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            self._send(file, size, goal, 0o600 if self._prefix else mode)
        if self._prefix:
            self._order(f"install -m {mode:04o} -- {goal} {shlex.quote(remote)} && rm -f -- {goal}")

    def get(self, remote: str, local: Path) -> None:
        copy = f"{self._folder}/get"
        if self._prefix:
            self._order(f"install -m 0644 -- {shlex.quote(remote)} {copy}")
        with local.open("wb") as goal:
            self._receive(copy if self._prefix else remote, goal, UNPACKED)
        if self._prefix:
            self._order(f"rm -f -- {copy}")

    def delete(self, remote: str) -> None:
        self._order(f"rm -rf -- {shlex.quote(remote)}")

    def _order(self, script: str) -> None:
        """Raises BuildError where it fails."""
        ran = self.run(script, GRACE)
        if ran.code != 0:
            raise BuildError(f"in the machine: {ran.out.strip()}")

    @property
    def _who(self) -> Any:
        from pyVmomi import vim

        return vim.vm.guest.NamePasswordAuthentication(
            username=self._login, password=self._password.reveal(), interactiveSession=False
        )

    def _started(self, timeout: float | None) -> int:
        """The process's number in the guest."""
        from pyVmomi import vim

        limit = f"timeout -k 5 {max(timeout, 0.001):.3f} " if timeout is not None else ""
        folder = shlex.quote(self._folder)
        environment = f"env -i HOME=/root PATH={PATH} "
        line = f"exec {environment}{limit}sh {folder}/script </dev/null >>{folder}/output 2>&1"
        if self._prefix:
            line = f"exec {self._prefix}sh -c {shlex.quote(line)} 2>/dev/null"
        line = f": >{folder}/output; {line}"
        spec = vim.vm.guest.ProcessManager.ProgramSpec(
            programPath="/bin/sh", arguments=f"-c {shlex.quote(line)}", workingDirectory="/"
        )
        return int(
            self._session.order(
                "starting a program in the machine",
                lambda: self._processes.StartProgramInGuest(self._machine, self._who, spec),
            )
        )

    def _ended(self, number: int, timeout: float | None) -> int:
        """Its exit code. Raises BuildError where the guest does not answer in time."""
        began, waits = time.monotonic(), pauses(FIRST, LONGEST)
        limit = (GRACE if timeout is None else timeout) + GRACE
        while True:
            process = self._process(number)
            if process.endTime is not None:
                return int(process.exitCode or 0)
            if time.monotonic() - began > limit:
                self._give_up(number)
                raise BuildError(
                    f"{self._session.where}: a program of the build in the machine has not ended after {limit:.0f} s"
                )
            time.sleep(next(waits))

    def _process(self, number: int) -> Any:
        """vim.vm.guest.ProcessManager.ProcessInfo. A guest that is busy may refuse orders for a moment."""
        began = time.monotonic()
        while True:
            try:
                found = self._session.read(
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
            self._session.order(
                "ending a program in the machine",
                lambda: self._processes.TerminateProcessInGuest(self._machine, self._who, number),
            )

    def _output(self) -> bytes:
        goal = io.BytesIO()
        self._receive(f"{self._folder}/output", goal, MACHINE_LINE)
        return goal.getvalue()

    def _send(self, file: IO[bytes], size: int, remote: str, mode: int) -> None:
        from pyVmomi import vim

        attributes = vim.vm.guest.FileManager.PosixFileAttributes(permissions=mode)
        url = self._session.order(
            "sending a file to the machine",
            lambda: self._files.InitiateFileTransferToGuest(self._machine, self._who, remote, attributes, size, True),
        )
        self._transfers.send(file, Upload(str(url), size), f"sending {remote} to the machine")

    def _receive(self, remote: str, goal: IO[bytes], limit: Limit) -> None:
        """Raises BuildError for more than the limit."""
        info = self._session.order(
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
