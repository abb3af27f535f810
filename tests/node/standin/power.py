"""start, stop, restart, mount, umount."""

from __future__ import annotations

import os

from standin import containers, dists, network
from standin.commands import Call
from standin.errors import MOUNTED, NOT_MOUNTED, RUNNING, STOP_FAILED, Refused
from standin.netif import read_netif
from standin.options import parse
from standin.place import Values

LONGEST_STOP = 120
"""Seconds that vzctl gives a container to halt where STOP_TIMEOUT is not set."""


def start(call: Call) -> int:
    options = dict(parse(call.words, frozenset(["wait", "force", "skip_ve_setup"]), bare=True))
    with call.lock("starting"):
        values = call.values()
        if call.pid():
            raise Refused(RUNNING, "Container is already running")
        tidy(call, values)
        _start(call, values)
        if "wait" in options and containers.is_systemd(call.place.private(call.ctid, values)):
            _never_return()
    return 0


def stop(call: Call) -> int:
    options = dict(parse(call.words, frozenset(["fast", "skip-umount"]), bare=True))
    with call.lock("stopping"):
        values = call.values()
        if not call.pid():
            tidy(call, values)
            call.report("Unable to stop: container is not running")
            return 0
        _stop(call, values, fast="fast" in options)
    return 0


def restart(call: Call) -> int:
    parse(call.words, frozenset(["wait", "force", "fast", "skip_ve_setup"]), bare=True)
    with call.lock("restarting"):
        values = call.values()
        call.report("Restarting container")
        if call.pid():
            _stop(call, values, fast="--fast" in call.words)
        tidy(call, values)
        _start(call, values)
    return 0


def mount(call: Call) -> int:
    with call.lock("mounting"):
        values = call.values()
        if containers.is_mounted(call.place.root(call.ctid, values)):
            raise Refused(MOUNTED, "Container is already mounted")
        containers.mount(call.place, call.ctid, values)
        call.report("Container is mounted")
    return 0


def umount(call: Call) -> int:
    with call.lock("unmounting"):
        values = call.values()
        if call.pid():
            raise Refused(RUNNING, "Container is running. Stop it first")
        if not containers.is_mounted(call.place.root(call.ctid, values)):
            raise Refused(NOT_MOUNTED, "CT is not mounted")
        containers.unmount(call.place, call.ctid, values)
        call.report("Container is unmounted")
    return 0


def tidy(call: Call, values: Values) -> None:
    """What vzeventd(8) does on a node when a container has halted itself."""
    mark = _mark(call)
    if not os.path.exists(mark):
        return
    containers.stop(call.place, call.ctid, 0)
    network.down(call.place, call.ctid, read_netif(values))
    if containers.is_mounted(call.place.root(call.ctid, values)):
        containers.unmount(call.place, call.ctid, values)
    os.unlink(mark)


def addresses_of(values: Values) -> list[str]:
    """Those that venet0 gets: the stand-in sets IPv4 alone."""
    return [address for address in values.get("IP_ADDRESS", "").split() if ":" not in address]


def _start(call: Call, values: Values) -> None:
    place, ctid = call.place, call.ctid
    addresses, devices = addresses_of(values), read_netif(values)
    network.refuse_used(place, ctid, addresses)
    call.report("Starting container...")
    with open(_mark(call), "w"):
        pass
    try:
        root = place.root(ctid, values)
        if not containers.is_mounted(root):
            containers.mount(place, ctid, values)
            call.report("Container is mounted")
        dists.configure(place, values, root, call.report)
        containers.start(place, ctid, values, network.configuration(place, ctid, addresses, devices))
        if addresses:
            call.report(f"Adding IP address(es): {' '.join(addresses)}")
        network.up(place, ctid, addresses, devices)
        _own_script(call, "start")
    except Refused:
        tidy(call, values)
        raise
    call.report("Container start in progress...")


def _stop(call: Call, values: Values, fast: bool) -> None:
    call.report("Stopping container ...")
    _own_script(call, "stop")
    seconds = 0 if fast else int(values.get("STOP_TIMEOUT", LONGEST_STOP))
    containers.stop(call.place, call.ctid, seconds)
    if call.pid():
        raise Refused(STOP_FAILED, "Unable to stop container: operation timed out")
    call.report("Container was stopped")
    tidy(call, values)
    call.report("Container is unmounted")


def _own_script(call: Call, name: str) -> None:
    """CTID.start and CTID.stop run inside the container (vzctl(8), ACTION SCRIPTS)."""
    import subprocess

    path = call.place.path_of(call.ctid, name)
    if os.path.exists(path):
        with open(path, "rb") as script:
            head = ["lxc-attach", "-P", containers.lxc_path(call.place), "-n", str(call.ctid), "--clear-env", "--"]
            subprocess.run([*head, "/usr/bin/env", "-i", *containers.COMMAND_ENVIRONMENT, "/bin/bash"], stdin=script)


def _mark(call: Call) -> str:
    return f"{call.place.state}/started/{call.ctid}"


def _never_return() -> None:
    """As seen with --wait and a guest whose init is systemd: the lock stays too."""
    import time

    while True:
        time.sleep(60)
