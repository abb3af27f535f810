"""Work in namespaces of its own, so that everything temporary dies with its process.

The worker is a forked child: PID 1 of a new PID namespace, in a new mount namespace and, where asked for, a new network
namespace. It has the parent's death signal, and whatever it starts is killed by the kernel when it ends: kill -9 of
either process leaves no mount, no container and no process behind (pid_namespaces(7), prctl(2)).
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from vmgen_build.errors import HostError
from vmgen_build.events import Bus
from vmgen_build.host import syscalls as sc
from vmgen_build.host.channel import Message, WorkerBus, final_message, frozen, raise_failure, receive, send
from vmgen_build.host.programs import require_root
from vmgen_build.host.stops import (
    STOP_SIGNALS,
    disturbed,
    give_back,
    ignore_stops,
    interrupt_once,
    take_stops,
    undisturbed,
)

T = TypeVar("T")

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
"""netdevice(7), linux/sockios.h."""


def run_isolated(work: Callable[[WorkerBus], T], bus: Bus, *, net: bool = False, offline: bool = False) -> T:
    """Run `work` in a worker as above; its events reach `bus`, its result or VmgenError comes back.

    net: in a network namespace, for devices of its own. offline: in one too, which has a loopback and nothing else.

    Raises KeyboardInterrupt when the worker was interrupted, after it has undone what it did. Needs root. Call it
    while no other thread runs. The result must be picklable.
    """
    require_root("making namespaces needs root")
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair()
    with undisturbed():
        middle = os.fork()
        if middle == 0:
            ours.close()
            _launch(partial(_cut_off, work) if offline else work, theirs, net)
        theirs.close()
        with ours:
            result: T = _listen(ours, middle, bus)
            return result


def _launch(work: Callable[[WorkerBus], Any], channel: socket.socket, net: bool) -> None:
    """Unshare, fork the worker as PID 1, hand on stop signals to it and end as it ends. Never returns.

    Stop signals are blocked from before the first fork on, until the worker knows what to do with them: none is lost,
    and none meets a handler of the parent's.
    """
    code = 1
    try:
        sc.set_death_signal(signal.SIGKILL)
        sc.unshare(sc.CLONE_NEWNS | sc.CLONE_NEWPID | (sc.CLONE_NEWNET if net else 0))
        worker = os.fork()
        if worker == 0:
            _work(work, channel, net)
        channel.close()
        take_stops(lambda n, _frame: _forward(worker, n))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    except OSError as error:
        send(channel, ("error", frozen(HostError(f"cannot make namespaces: {error}; run it as real root"))))
    finally:
        os._exit(code if 0 <= code < 256 else 128 + abs(code) % 128)


def _work(work: Callable[[WorkerBus], Any], channel: socket.socket, net: bool) -> None:
    """The worker: run `work`, report, end. Never returns."""
    sc.set_death_signal(signal.SIGKILL)
    take_stops(interrupt_once)
    os.umask(0o022)

    def run() -> Any:
        _set_up_mounts(net)
        return work(WorkerBus(channel))

    final = final_message(lambda: disturbed(run))
    send(channel, final)
    os._exit(0 if final[0] == "result" else 1)


def _cut_off(work: Callable[[WorkerBus], T], bus: WorkerBus) -> T:
    try:
        sc.unshare(sc.CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    except OSError as error:
        raise HostError(f"cannot make a network namespace for --offline: {error}; run it as real root") from error
    return work(bus)


def reap_guests() -> None:
    """In a worker: reap ended processes of containers within it whose own parents are gone, so that those can end.

    They have a number in a PID namespace below ours: NSpid of proc_pid_status(5).
    """
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError, ValueError, KeyError):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if fields["State"][0] == "Z" and int(fields["PPid"]) == os.getpid() and len(fields["NSpid"].split()) > 1:
                os.waitpid(int(status.parent.name), os.WNOHANG)


def _set_up_mounts(net: bool) -> None:
    sc.mount("none", "/", flags=sc.MS_REC | sc.MS_PRIVATE)
    sc.mount("proc", "/proc", "proc", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    if net:
        sc.mount("sysfs", "/sys", "sysfs", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    if net or not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        # On a cgroup v1 or hybrid host the guests still see a pure v2 tree, which newer systemd insists on.
        sc.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    Path("/run/lxc").mkdir(exist_ok=True)
    sc.mount("tmpfs", "/run/lxc", "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=0755")


def _listen(channel: socket.socket, middle: int, bus: Bus) -> Any:
    """The parent: pass events on until the worker's final message, then give its result."""
    previous = take_stops(lambda n, _frame: _forward(middle, n))
    final: Message | None = None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        with suppress(EOFError):
            while True:
                final = receive(channel, bus) or final
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1])
        if final is not None and final[0] == "interrupted":
            ignore_stops()
        else:
            give_back(previous)
    if final is not None and final[0] == "result":
        return final[1]
    return raise_failure(final, status)


def _forward(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
