"""Which of a node's programs makes the containers there: the node has it, and the backend would rather have it."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.errors import HostError
from vmgen_build.guests.node.driver import Driver
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.runners import Runner

DRIVERS: dict[str, type[Driver]] = {"lxc": LxcDriver, "vzctl": VzDriver}
"""What Backend.prefers may name -> the driver; the first that the node has serves where the backend prefers none."""


def drivers_on(runner: Runner, tag: str, prefers: Sequence[str]) -> list[Driver]:
    """Those whose programs the node has, first the ones that the backend prefers. Raises HostError for none."""
    find = 'for one; do command -v "$one" >/dev/null && echo "$one"; done; :'
    there = runner.run(["sh", "-c", find, "sh", *(driver.programs[0] for driver in DRIVERS.values())]).out.split()
    order = [DRIVERS[name] for name in dict.fromkeys((*prefers, *DRIVERS)) if name in DRIVERS]
    if found := [driver(runner, tag) for driver in order if driver.programs[0] in there]:
        return found
    raise HostError(
        f"{runner.name} has neither {' nor '.join(DRIVERS)}, by which containers are made: install one of them there;"
        f" see: vmgen-build doctor --host"
    )
