"""Until a machine that was switched on can be spoken to: what it waits for, and why it does not come."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.machines.model import Note
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.operations import GuestOperations
from vmgen_build.guests.vsphere.properties import Values, values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.limits import VSPHERE_BOOT, VSPHERE_LOGIN
from vmgen_build.text import duration

LOOK = 1.0
"""Seconds between two looks."""

_PATHS = (
    "runtime.powerState",
    "runtime.question",
    "guest.toolsRunningStatus",
    "guest.toolsVersionStatus2",
    "guest.guestOperationsReady",
    "guest.ipAddress",
)
_RUNNING, _MISSING = "guestToolsRunning", "guestToolsNotInstalled"


@dataclass(frozen=True, slots=True)
class Waiting:
    """machine: vim.VirtualMachine. note: takes a sentence for the user."""

    session: Session
    machine: Any
    note: Note

    def check_question(self) -> None:
        """Raises BuildError where the machine waits for an answer."""
        _refuse_question(self._values(), self.session.where)

    def look(self) -> tuple[bool, bool]:
        """Whether it is on, and whether its Tools run. Raises BuildError where it waits for an answer."""
        values = self._values()
        _refuse_question(values, self.session.where)
        return str(values.get("runtime.powerState")) == "poweredOn", _tools_run(values)

    def until_up(self, there: GuestOperations) -> None:
        """Raises BuildError that says what did not come."""
        began = time.monotonic()
        self._until("VMware Tools", _tools_run, began)
        self.note(f"VMware Tools run after {duration(time.monotonic() - began)}")
        self._until("the machine's readiness to take orders", _takes_orders, began)
        self._let_in(there)
        self.note(f"the machine takes orders after {duration(time.monotonic() - began)}")

    def until_address(self) -> str:
        """The machine's, as its Tools report it. Raises BuildError that says what did not come."""
        began = time.monotonic()
        self._until("VMware Tools, which report its address", _tools_run, began)
        self.note(f"VMware Tools run after {duration(time.monotonic() - began)}")
        self._until("its address by DHCP", lambda values: bool(_address(values)), began)
        address = _address(self._values())
        if not address:
            raise BuildError(f"{self.session.where}: the machine has lost its address")
        self.note(f"the machine's address is {address}, after {duration(time.monotonic() - began)}")
        return address

    def check_on(self) -> None:
        """Raises BuildError where the machine is off, or waits for an answer."""
        values = self._values()
        _refuse_question(values, self.session.where)
        if str(values.get("runtime.powerState")) != "poweredOn":
            raise BuildError(f"{self.session.where}: the machine went off while it was waited for")

    def _until(self, awaited: str, there: Callable[[Values], bool], began: float) -> None:
        while not there(values := self._values()):
            _refuse_question(values, self.session.where)
            passed = time.monotonic() - began
            if str(values.get("runtime.powerState")) != "poweredOn":
                raise BuildError(
                    f"{self.session.where}: the machine went off {duration(passed)} after it was switched on"
                )
            if passed > VSPHERE_BOOT.amount:
                raise BuildError(
                    f"{self.session.where}: the machine did not come up in time: it waits for {awaited},"
                    f" {_why(values)}; {VSPHERE_BOOT.exceeded}"
                )
            time.sleep(LOOK)

    def _let_in(self, there: GuestOperations) -> None:
        """The machine sets the account's password before its tools start; they may take a moment to know it."""
        began = time.monotonic()
        while True:
            try:
                there.let_in()
                there.begin()
                return
            except VmgenError as error:
                if time.monotonic() - began > VSPHERE_LOGIN.amount:
                    raise BuildError(f"the machine is up, and does not let the build in: {error}") from error
            time.sleep(LOOK)

    def _values(self) -> Values:
        return values_of(self.session, "looking whether the machine is up", self.machine, _PATHS)


def _tools_run(values: Values) -> bool:
    return str(values.get("guest.toolsRunningStatus")) == _RUNNING


def _address(values: Values) -> str:
    """ "" for none, or what is no address."""
    text = str(values.get("guest.ipAddress") or "")
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        return ""


def _takes_orders(values: Values) -> bool:
    return bool(values.get("guest.guestOperationsReady"))


def _refuse_question(values: Values, where: str) -> None:
    question = values.get("runtime.question")
    if question is not None:
        raise BuildError(
            f"{where}: the machine waits for an answer: '{shown(str(question.text))}'; a machine of a build should ask"
            " nothing: look at the server's settings for what it asks"
        )


def _why(values: Values) -> str:
    if str(values.get("guest.toolsVersionStatus2")) == _MISSING:
        return "and the server says that there are none in it"
    if _tools_run(values):
        return "and VMware Tools run; look at its screen"
    return "which did not start; look at its screen"
