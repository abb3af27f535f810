"""How a machine on a server is spoken to, once it is switched on: by VMware Tools, or by ssh."""

from __future__ import annotations

import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.communicators.ssh import ROOT, Attempts, HostKey, SshCommunicator
from vmgen_build.guests.machines.model import PATIENCE
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.vsphere.guestops import ToolsCommunicator
from vmgen_build.guests.vsphere.login import ACCOUNT, KEY, BootLogin, new_login
from vmgen_build.guests.vsphere.waiting import LOOK, Waiting
from vmgen_build.secret import Secret
from vmgen_build.text import duration

SSH_PATIENCE = 900.0
"""Seconds from the address on until sshd must let us in."""

NO_SHELL = "there is no shell by VMware Tools; write communicator = ssh, or take: --on-error keep"


class ServerAccess(ABC):
    """own: whether the machine is a user's, with its own services and network."""

    own: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str]:
        """extraConfig of the machine's next boot."""
        return {}

    @abstractmethod
    def opened(self, waiting: Waiting) -> Communicator:
        """Return when the machine, which is switched on, takes orders. Raises BuildError."""

    def open_shell(self, communicator: Communicator, command: str) -> None:
        """Run a command of sh on our own terminal. Raises HostError."""
        raise HostError(NO_SHELL)

    def close(self) -> None:
        """Before the machine goes. Another `opened` may follow."""
        return


class BuildLogin(ServerAccess):
    """The account that a minimal machine was given, with a password for each machine of a build."""

    own = False

    def __init__(self, name: str) -> None:
        """name: that the machine gets."""
        self._name = name
        self._login: BootLogin = new_login()

    def settings(self) -> Mapping[str, str]:
        return {KEY: self._login.hashed}

    def opened(self, waiting: Waiting) -> Communicator:
        there = ToolsCommunicator(waiting.session, waiting.machine, ACCOUNT, self._login.password)
        waiting.until_up(there)
        script = f"swapoff -a || :\necho {shlex.quote(self._name)} >/proc/sys/kernel/hostname\n"
        ran = there.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"in the machine: {ran.out.strip()}")
        return there


class ByTools(ServerAccess):
    """A user's machine, by its VMware Tools."""

    def __init__(self, login: GuestLogin) -> None:
        self._login = login

    def opened(self, waiting: Waiting) -> Communicator:
        there = ToolsCommunicator(
            waiting.session, waiting.machine, self._login.name, self._login.password or Secret("")
        )
        waiting.until_up(there)
        if not there.become_root():
            raise BuildError(
                f"the user '{self._login.name}' of the machine is not root, and sudo wants a password: {ROOT}"
            )
        return there


class BySsh(ServerAccess):
    """A user's machine with an sshd, at the address that its VMware Tools report. Its host key is taken on first sight,
    and kept as long as this object lives."""

    def __init__(self, login: GuestLogin) -> None:
        self._login, self._host_key = login, HostKey()
        self._opened: SshCommunicator | None = None

    def opened(self, waiting: Waiting) -> Communicator:
        address = waiting.until_address()
        attempts = Attempts((address, 22), self._login, self._host_key)
        began = time.monotonic()
        while (found := attempts.logged_in()) is None:
            waiting.check_on()
            if time.monotonic() - began > SSH_PATIENCE:
                raise BuildError(
                    f"the machine at {address} did not let the build in for {SSH_PATIENCE:g} s: {attempts.reason}"
                )
            time.sleep(LOOK)
        waiting.note(f"logged in as {self._login.name} after {duration(time.monotonic() - began)}")
        self._opened = found
        return found

    def open_shell(self, communicator: Communicator, command: str) -> None:
        assert isinstance(communicator, SshCommunicator)
        communicator.open_shell(command)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
