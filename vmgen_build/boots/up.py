"""Whether a booted system is up: asked here alone, by a script that is data (systems.model, System.up)."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.errors import HostError
from vmgen_build.guests.model import Communicator
from vmgen_build.plan.model import Probe
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

BROKEN = ("maintenance", "stopping")
"""States, as systemctl(1) is-system-running names them, in which a boot has ended, and not well."""

JOBS = "command -v systemctl >/dev/null || exit 0\nsystemctl list-jobs --no-legend --no-pager"
"""Lists what a boot waits for."""


@dataclass(frozen=True, slots=True)
class State:
    """text: what the script printed, "running" or "starting". up: whether the boot has ended well."""

    text: str
    up: bool

    @property
    def broken(self) -> bool:
        """Whether the system will never be up."""
        return not self.up and self.text.split(",")[0] in BROKEN


UP_WAIT = 20.0
"""Seconds for which a machine that was up once, and is not when it is asked, is asked again."""

NO_ANSWER = State("no answer", False)


def system_of(os: str) -> System:
    """The operating system that a manifest names, as "debian-12". Raises HostError where it is none that is known."""
    try:
        return parse_system(os)
    except ValueError as error:
        raise HostError(f"the manifest names no system that this version knows: {error}") from error


def state_of(communicator: Communicator, script: str, timeout: float) -> State:
    ran = communicator.run(script, timeout)
    return State(ran.out.strip(), ran.code == 0)


def waits_for(communicator: Communicator, timeout: float) -> str:
    """What the boot waits for, as lines that end a message; "" where nothing is known."""
    lines = communicator.run(JOBS, timeout).out.strip().splitlines()
    return "".join(("it waits for:\n", *(f"  {line.strip()}\n" for line in lines))) if lines else ""


def probe(script: str) -> Probe:
    """The first thing that a booted machine is asked."""
    return Probe("system", "the system", script, "up", retry=UP_WAIT)
