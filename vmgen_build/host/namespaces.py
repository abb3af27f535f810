"""Work in namespaces of its own, so that everything temporary dies with its process.

The worker is a forked child: PID 1 of a new PID namespace, in a new mount namespace and, where asked for, a new network
namespace. It has the parent's death signal, and whatever it starts is killed by the kernel when it ends: kill -9 of
either process leaves no mount, no container and no process behind (pid_namespaces(7), prctl(2)).
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from vmgen_build.errors import HostError, VmgenError
from vmgen_build.events import Bus, Event
from vmgen_build.host import syscalls as sc
from vmgen_build.host.programs import require_root
from vmgen_build.host.stops import STOP_SIGNALS, ignore_stops, interrupt_once, undisturbed

T = TypeVar("T")


class WorkerBus(Bus):
    """The worker's end of the stream: each event goes to the parent's listeners."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, event: Event) -> None:
        super().emit(event)
        _send(self._channel, ("event", event))

    def settle(self) -> None:
        """Wait until every event sent so far has been listened to (before the worker takes the terminal)."""
        _send(self._channel, ("settle", None))
        self._channel.recv(1)


def run_isolated(work: Callable[[WorkerBus], T], bus: Bus, *, net: bool = False) -> T:
    """Run `work` in a worker as above; its events reach `bus`, its result or VmgenError comes back.

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
            _launch(work, theirs, net)
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
        for number in STOP_SIGNALS:
            signal.signal(number, lambda n, _frame: _forward(worker, n))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    except OSError as error:
        _send(channel, ("error", _frozen(HostError(f"cannot make namespaces: {error}; run it as real root"))))
    finally:
        os._exit(code if 0 <= code < 256 else 128 + abs(code) % 128)


def _work(work: Callable[[WorkerBus], Any], channel: socket.socket, net: bool) -> None:
    """The worker: run `work`, report, end. Never returns."""
    sc.set_death_signal(signal.SIGKILL)
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt_once)
    os.umask(0o022)
    try:
        message = ("result", _disturbed(work, channel, net))
    except KeyboardInterrupt:
        message = ("interrupted", None)
    except VmgenError as error:
        message = ("error", _frozen(error))
    except BaseException as error:  # the parent raises it again: a bug must reach its report
        import traceback

        message = ("crash", (type(error).__name__, traceback.format_exc()))
    _send(channel, message)
    os._exit(0 if message[0] == "result" else 1)


def _disturbed(work: Callable[[WorkerBus], T], channel: socket.socket, net: bool) -> T:
    """Stop signals reach the work, and neither what comes before nor what is sent after."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        _set_up_mounts(net)
        return work(WorkerBus(channel))
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


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
    """The parent: pass events on until the worker's last word, then give its result."""
    previous = {n: signal.signal(n, lambda n, _frame: _forward(middle, n)) for n in STOP_SIGNALS}
    kind: str = "died"
    value: Any = None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        while (message := _receive(channel)) is not None:
            if message[0] == "event":
                bus.emit(message[1])
            elif message[0] == "settle":
                channel.send(b"\0")
            else:
                kind, value = message
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1])
        if kind == "interrupted":
            ignore_stops()
        else:
            for number, handler in previous.items():
                signal.signal(number, handler)
    if kind == "result":
        return value
    if kind == "interrupted":
        raise KeyboardInterrupt
    if kind == "error":
        raise _thawed(value)
    if kind == "crash":
        raise WorkerCrashError(*value)
    raise VmgenError(f"the worker process was killed (status {status}); was the machine out of memory?")


class WorkerCrashError(Exception):
    """An unexpected exception in the worker: a bug. Carries the worker's own traceback."""

    def __init__(self, name: str, trace: str) -> None:
        super().__init__(f"{name} in the worker\n{trace}")
        self.trace = trace


def _forward(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _frozen(error: VmgenError) -> tuple[type[VmgenError], tuple[Any, ...], dict[str, Any]]:
    return type(error), error.args, dict(error.__dict__)


def _thawed(frozen: tuple[type[VmgenError], tuple[Any, ...], dict[str, Any]]) -> VmgenError:
    kind, args, state = frozen
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


def _send(channel: socket.socket, message: tuple[str, Any]) -> None:
    data = pickle.dumps(message)
    try:
        channel.sendall(struct.pack("!I", len(data)) + data)
    except BrokenPipeError:
        return


def _receive(channel: socket.socket) -> tuple[str, Any] | None:
    head = _read_exactly(channel, 4)
    if head is None:
        return None
    body = _read_exactly(channel, struct.unpack("!I", head)[0])
    if body is None:
        return None
    message: tuple[str, Any] = pickle.loads(body)  # noqa: S301 - from a child of our own
    return message


def _read_exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            chunk = channel.recv(min(size - len(parts), 1 << 20))
        except ConnectionResetError:
            return None
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)
