"""Speaking to a machine by its VMware Tools: files go to a folder in its memory, programs are started and asked for.

vSphere Web Services API Reference, GuestOperationsManager. Each order takes some requests to the server, which passes
them on to the machine's host; a program's output comes back as a file.
"""

from __future__ import annotations

import io
import shlex
import time
from pathlib import Path
from typing import IO, Any

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.pauses import pauses
from vmgen_build.guests.model import PATH, Communicator, Ran, no_answer
from vmgen_build.guests.vsphere.operations import GRACE, GuestOperations
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.limits import MACHINE_LINE, UNPACKED
from vmgen_build.secret import Secret

MEMORY = "/dev/shm"  # noqa: S108 - of a guest that is ours alone

FIRST, LONGEST = 0.02, 1.0
"""Seconds between two questions whether a program has ended: the first, and the most after many."""


class ToolsCommunicator(GuestOperations, Communicator):
    """Of a Linux. login, password: of an account in it, which is root or `become_root`."""

    def __init__(self, session: Session, machine: Any, login: str, password: Secret) -> None:
        super().__init__(session, machine, login, password)
        self._folder, self._prefix = "", ""

    def begin(self) -> None:
        """A folder for what follows; one for each boot, since it lies in memory."""
        self._folder = self._new_folder("vmgen-build", MEMORY)

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

    def _started(self, timeout: float | None) -> int:
        """The process's number in the guest."""
        limit = f"timeout -k 5 {max(timeout, 0.001):.3f} " if timeout is not None else ""
        folder = shlex.quote(self._folder)
        environment = f"env -i HOME=/root PATH={PATH} "
        line = f"exec {environment}{limit}sh {folder}/script </dev/null >>{folder}/output 2>&1"
        if self._prefix:
            line = f"exec {self._prefix}sh -c {shlex.quote(line)} 2>/dev/null"
        line = f": >{folder}/output; {line}"
        return self._start("/bin/sh", f"-c {shlex.quote(line)}", "/")

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

    def _output(self) -> bytes:
        goal = io.BytesIO()
        self._receive(f"{self._folder}/output", goal, MACHINE_LINE)
        return goal.getvalue()

    def _send(self, file: IO[bytes], size: int, remote: str, mode: int) -> None:
        from pyVmomi import vim

        attributes = vim.vm.guest.FileManager.PosixFileAttributes(permissions=mode)
        self._send_as(file, size, remote, attributes)
