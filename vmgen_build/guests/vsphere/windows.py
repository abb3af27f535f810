"""Machines of a vSphere server in which a plan for Windows runs: with the recipe's own network adapters, by whose
addresses its steps find them; shut down by VMware Tools wherever its disks are to be whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vmgen_build.artifacts.result import Disks
from vmgen_build.artifacts.vmx import STATIC_MACS
from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.machines.windows import ENDING, NOT_ENDED
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.vsphere.access import ServerAccess
from vmgen_build.guests.vsphere.inventory import Network
from vmgen_build.guests.vsphere.machines import VsphereMachine, VsphereMachines
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.specs import build_config, own_adapters
from vmgen_build.guests.vsphere.tags import Mark, short_id
from vmgen_build.guests.vsphere.waiting import Waiting
from vmgen_build.guests.vsphere.windowstools import WindowsTools
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.model import Step
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret

BOOTED = "summary.runtime.bootTime"
"""The server's own: when the machine was last switched on."""

NO_SHELL = "there is no shell in a Windows by VMware Tools; take: --on-error keep"


def as_started_windows(machine: Machine) -> Machine:
    """The machine as it is while it is built: its CD drives are the server's."""
    return replace(machine, cds=())


def passwords_of(recipe: Recipe) -> list[Secret]:
    """Those that the account of [hardware] login has, or is given by a step."""
    hardware, users = recipe.hardware, recipe.users.users.values()
    name = (hardware.login or "").lower()
    found = [hardware.login_password, *(user.passwd for user in users if user.login.lower() == name)]
    if name == "administrator":
        found.append(recipe.config.root_passwd)
    return [one for one in found if one is not None] or [Secret("")]


class WindowsByTools(ServerAccess):
    """A user's Windows, by its VMware Tools. passwords: as of WindowsTools."""

    def __init__(self, login: GuestLogin, passwords: list[Secret]) -> None:
        self._login, self._passwords = login, passwords

    def opened(self, waiting: Waiting) -> Communicator:
        there = WindowsTools(waiting.session, waiting.machine, self._login.name, self._passwords)
        waiting.until_up(there)
        if not there.facts.administrator:
            raise BuildError(
                f"the user '{self._login.name}' of the machine gives no orders as an administrator; write login ="
                " Administrator, with the password of that account, which must be active"
            )
        return there


@dataclass(kw_only=True)
class WindowsMachines(VsphereMachines):
    """networks: of the machine's adapters, in their order."""

    networks: Sequence[Network]

    def setup_config(self, machine: Any, mark: Mark) -> Any:
        """vim.vm.ConfigSpec of one that Setup begins in: with its cables out, so that a Windows without its updates is
        on no network, and nothing of one comes into what is kept."""
        nics = [replace(nic, connected=False) for nic in self.machine.nics]
        adapters = own_adapters(self.maker.session, machine, nics, self.networks)
        return build_config(self.machine, mark, self._settings(), adapters)

    def _machine_on(self, states: Sequence[str]) -> VsphereMachine:
        return WindowsMachine(self, states)

    def _settings(self) -> Mapping[str, str]:
        """A host looks whether an address is one that VMware gives away, unless it is told not to."""
        others = [nic for nic in self.machine.nics if not STATIC_MACS.match(nic.hw_addr)]
        unchecked = {f"ethernet{number}.checkMACAddress": "FALSE" for number in range(len(self.machine.nics))}
        return {**self.access.settings(), **(unchecked if others else {})}

    def _adapters(self, machine: Any) -> list[Any]:
        return own_adapters(self.maker.session, machine, self.machine.nics, self.networks)

    def _adapters_taken_in(self, machine: Any) -> list[Any]:
        return self._adapters(machine)


class WindowsMachine(VsphereMachine):
    """A snapshot of one that runs would be that of a Windows that was cut off: it is taken while the machine is off. So
    it stays off until it is spoken to again, and a step that asks for a restart and is kept shuts it down once."""

    _is_off, _is_due = False, False
    _boot_before = ""

    @property
    def communicator(self) -> Communicator:
        if self._is_off:
            super().restart()
        return super().communicator

    def restart(self) -> None:
        """It goes off; another boot begins when it is spoken to, or its disks are taken. Raises BuildError."""
        self._halt()
        self._is_due = True

    def snapshot(self, step: Step) -> None:
        if self._maker.clones:
            self._halt()
            kept = self._maker.snapshot(self._machine, short_id(step.id), step.title)
            self._machines.keep_state(self._machine, kept, step, self._states)
        self._states.append(step.id)

    def take_disks(self) -> Disks:
        """What Windows does behind a restart that was asked for is done here, and not at its user's."""
        if self._is_due:
            super().restart()
        return super().take_disks()

    def _boot_id(self) -> str:
        """Of the boot before, while it is off."""
        if self._is_off:
            return self._boot_before
        values = values_of(self._maker.session, "asking when the machine was switched on", self._machine, [BOOTED])
        return str(values.get(BOOTED, ""))

    def _start_anew(self) -> None:
        self._is_off, self._is_due = False, False
        self._start()

    def _trim(self) -> None:
        """Windows does so itself."""

    def _halt(self) -> None:
        if self._is_off:
            return
        self._boot_before = self._boot_id()
        self._hang_up()
        if not self._maker.went_off(self._machine, ENDING):
            raise BuildError(NOT_ENDED)
        self._is_off = True
