"""start, stop, restart, mount, umount."""

from __future__ import annotations

import os

from standin import containers, dists, faults, network
from standin.commands import Call
from standin.errors import CANNOT_UNMOUNT, NOT_MOUNTED, RUNNING, STOP_FAILED, SYSTEM_ERROR, TOO_FEW_LIMITS, Refused
from standin.netif import read_netif
from standin.options import parse
from standin.place import Place, Values

LIMITS = (
    "kmemsize lockedpages privvmpages shmpages numproc physpages vmguarpages oomguarpages numtcpsock numflock numpty"
    " numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile avnumproc numiptent"
)
"""What a kernel without VSwap wants of each container."""

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
            _never_return(call, values)
    return 0


def stop(call: Call) -> int:
    options = dict(parse(call.words, frozenset(["fast", "skip-umount"]), bare=True))
    with call.lock("stopping"):
        values = call.values()
        if not call.pid():
            tidy(call, values)
            call.complain("Unable to stop: container is not running")
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
            call.report("Container is already mounted")
            return 0
        containers.mount(call.place, call.ctid, values)
        call.report("Container is mounted")
    return 0


def umount(call: Call) -> int:
    with call.lock("unmounting"):
        values = call.values()
        if call.pid():
            raise Refused(RUNNING, "Container is running -- stop it first")
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
        _unmount(call, values)
    os.unlink(mark)


def _unmount(call: Call, values: Values) -> None:
    """What a container's last process had open is let go a little later."""
    import time

    for left in reversed(range(20)):
        try:
            containers.unmount(call.place, call.ctid, values)
            break
        except Refused as refused:
            if refused.code != CANNOT_UNMOUNT or not left:
                raise
            time.sleep(0.1)


def addresses_of(values: Values) -> list[str]:
    """Those that venet0 gets: the stand-in sets IPv4 alone."""
    return [address for address in values.get("IP_ADDRESS", "").split() if ":" not in address]


def _start(call: Call, values: Values) -> None:
    place, ctid = call.place, call.ctid
    addresses, devices = addresses_of(values), read_netif(values)
    if not place.upstream:
        network.refuse_used(place, ctid, addresses)
    _require_limits(place, values)
    call.report("Starting container...")
    with open(_mark(call), "w"):
        pass
    try:
        root = place.root(ctid, values)
        if not containers.is_mounted(root):
            containers.mount(place, ctid, values)
            call.report("Container is mounted")
        dists.configure(place, values, root, call.report)
        inside = addresses if dists.sets_addresses(root) else []
        containers.start(place, ctid, values, network.configuration(place, ctid, inside, devices))
        if addresses:
            call.report(f"Adding IP address(es): {' '.join(addresses)}")
            _announce(place)
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


def _announce(place: Place) -> None:
    """arpsend takes two seconds of each start; here where a test asks for them."""
    import time

    if faults.active(place, "arpsend"):
        time.sleep(2)


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


def _require_limits(place: Place, values: Values) -> None:
    """A kernel without VSwap starts nothing that lacks one of the older limits."""
    if faults.active(place, "old-kernel"):
        lacking = [name for name in LIMITS.split() if name.upper() not in values]
        if lacking:
            lines = [f"Error: required UB parameter {name} not set" for name in lacking]
            raise Refused(TOO_FEW_LIMITS, "\n".join([*lines, "Container start failed"]))


def _never_return(call: Call, values: Values) -> None:
    """As seen with --wait and a guest whose init is systemd: the lock stays too. SIGTERM has the container killed."""
    import time
    from _signal import SIGTERM, signal  # type: ignore[import-not-found]

    def cancel(number: int, _frame: object) -> None:
        call.report("Cancelling...")
        containers.stop(call.place, call.ctid, 0)
        tidy(call, values)
        raise Refused(SYSTEM_ERROR, "Container start failed")

    signal(SIGTERM, cancel)
    while True:
        time.sleep(60)
