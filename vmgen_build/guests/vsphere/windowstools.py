"""A Windows by its VMware Tools."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from vmgen_build.errors import VmgenError
from vmgen_build.guests.communicators.windows import (
    CMD,
    SYSTEM,
    TEMP,
    WORKING,
    WindowsCommunicator,
    batch_arguments,
)
from vmgen_build.guests.vsphere.faults import ServerLost, has_kind
from vmgen_build.guests.vsphere.operations import GuestOperations
from vmgen_build.guests.vsphere.session import Answer, Session
from vmgen_build.limits import Limit
from vmgen_build.plan.text.batch import argument as batch_argument
from vmgen_build.secret import Secret

TOGETHER = 3.0
"""Seconds after which a program is ended that was to end with all that it has started."""

TRIES = 3
"""How often a file is asked for whose transfer is cut."""


class WindowsTools(GuestOperations, WindowsCommunicator):
    """passwords: that the account may have, the likeliest first; the one that it has is first from then on. A step may
    set another: that of the recipe."""

    def __init__(self, session: Session, machine: Any, login: str, passwords: list[Secret]) -> None:
        super().__init__(session, machine, login, passwords[0])
        self._passwords = passwords

    def begin(self) -> None:
        """Raises BuildError where a batch file cannot be run yet."""
        assert self.facts

    def new_folder(self) -> str:
        return self._new_folder("vmgen-build", TEMP)

    def make_folder(self, remote: str) -> None:
        self._do(
            "making a folder in the machine",
            lambda: self._files.MakeDirectoryInGuest(self._machine, self._who, remote, True),
        )

    def send(self, file: IO[bytes], size: int, remote: str) -> None:
        from pyVmomi import vim

        self._send_as(file, size, remote, vim.vm.guest.FileManager.WindowsFileAttributes())

    def read(self, remote: str, limit: Limit) -> bytes | None:
        for left in reversed(range(TRIES)):
            goal = io.BytesIO()
            try:
                self._receive(remote, goal, limit)
            except VmgenError as error:
                if has_kind(error, "FileNotFound"):
                    return None
                if not (left and isinstance(error, ServerLost)):
                    raise
            else:
                return goal.getvalue()
        return None

    def start(self, program: str, *words: str) -> int:
        return self._start(program, " ".join(map(batch_argument, words)), WORKING)

    def start_batch(self, script: str, argument: str, output: str) -> int:
        return self._start(CMD, batch_arguments(script, argument, output), WORKING)

    def code_of(self, number: int) -> int | None:
        process = self._process(number)
        return None if process.endTime is None else int(process.exitCode or 0)

    def end(self, number: int) -> None:
        """Tools end a program alone, and taskkill what it has started, which XP Home has not."""
        with suppress(VmgenError):
            self.start(rf"{SYSTEM}\taskkill.exe", "/f", "/t", "/pid", str(number))
            time.sleep(TOGETHER)
        self._give_up(number)

    def delete(self, remote: str) -> None:
        try:
            self._do(
                "removing a folder in the machine",
                lambda: self._files.DeleteDirectoryInGuest(self._machine, self._who, remote, True),
            )
        except VmgenError as error:
            if not has_kind(error, "FileNotFound"):
                raise

    def _ask(self, what: str, question: Callable[[], Answer]) -> Answer:
        return self._as_known(lambda: self._session.read(what, question))

    def _do(self, what: str, order: Callable[[], Answer]) -> Answer:
        """What is refused for its login was not begun."""
        return self._as_known(lambda: self._session.order(what, order))

    def _as_known(self, asked: Callable[[], Answer]) -> Answer:
        """With the next password where one is refused."""
        for password in [*self._passwords[1:], None]:
            try:
                return asked()
            except VmgenError as error:
                if password is None or not has_kind(error, "InvalidGuestLogin"):
                    raise
            self._password = password
            self._passwords.remove(password)
            self._passwords.insert(0, password)
        raise AssertionError
