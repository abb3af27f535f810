"""Several pieces of work at a time, each in a forked child of its own: none can touch what another has in memory."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from vmgen_build.errors import VmgenError
from vmgen_build.events import Bus
from vmgen_build.host import syscalls as sc
from vmgen_build.host.channel import Message, WorkerBus, final_message, raise_failure, receive, send
from vmgen_build.host.run import TICK
from vmgen_build.host.stops import disturbed, give_back, ignore_stops, interrupt_once, take_stops, undisturbed

T = TypeVar("T")
Work = Callable[[Bus], T]


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """A piece of work that came to its end. index: counts from 0, in the order of their beginning. error: why there is
    no result."""

    index: int
    result: T | None
    error: VmgenError | None = None


def side_by_side(works: Iterator[Work[T]], jobs: int, bus: Bus, tick: Callable[[], None]) -> Iterator[Ended[T]]:
    """Run the works, `jobs` at a time, and give each as it ends; the next one is asked for when there is room for it.

    Their events reach `bus`; `tick` is called now and then. A stop signal goes on to all that run, and nothing more is
    begun; KeyboardInterrupt is raised once all have ended. A bug in one is a WorkerCrashError, and ends the others.
    Results must be picklable. Call it while no other thread runs.
    """
    with _Pool[T](jobs, bus, tick) as pool:
        yield from pool.run(works)


class _Pool(Generic[T]):
    """The children that run, and their messages."""

    def __init__(self, jobs: int, bus: Bus, tick: Callable[[], None]) -> None:
        self.jobs, self.bus, self.tick = jobs, bus, tick
        self.children: dict[socket.socket, _Child] = {}
        self.selector = selectors.DefaultSelector()
        self.stopped = False
        self._begun = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Pool[T]:
        self._before = take_stops(self._forward)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """After an interrupt no other one may cut the undoing short that follows."""
        self._end_all()
        self.selector.close()
        if isinstance(error, KeyboardInterrupt):
            ignore_stops()
            return
        give_back(self._before)

    def run(self, works: Iterator[Work[T]]) -> Iterator[Ended[T]]:
        more = True
        while more or self.children:
            while more and not self.stopped and len(self.children) < self.jobs:
                work = next(works, None)
                more = work is not None
                if work is not None:
                    self._begin(work)
            yield from self._events()
            more = more and not self.stopped
        if self.stopped:
            raise KeyboardInterrupt

    def _begin(self, work: Work[T]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        with undisturbed():
            if self.stopped:
                return
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                for channel in (ours, *self.children):
                    channel.close()
                _work(work, theirs)
            theirs.close()
            self.children[ours] = _Child(self._begun, pid)
            self._begun += 1
            self.selector.register(ours, selectors.EVENT_READ)

    def _events(self) -> Iterator[Ended[T]]:
        for key, _ in self.selector.select(TICK):
            channel = key.fileobj
            assert isinstance(channel, socket.socket)
            child = self.children[channel]
            try:
                child.final = receive(channel, self.bus) or child.final
            except EOFError:
                yield from self._ended(channel)
        self.tick()

    def _ended(self, channel: socket.socket) -> Iterator[Ended[T]]:
        child = self.children.pop(channel)
        self.selector.unregister(channel)
        channel.close()
        status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if child.final is not None and child.final[0] == "result":
            yield Ended(child.index, child.final[1])
            return
        try:
            raise_failure(child.final, status)
        except VmgenError as error:
            yield Ended(child.index, None, error)
        except KeyboardInterrupt:
            self._stop(signal.SIGINT)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self._stop(number)

    def _stop(self, number: int) -> None:
        """Begin nothing more, and let what runs undo what it did."""
        self.stopped = True
        for child in self.children.values():
            os.kill(child.pid, number)

    def _end_all(self) -> None:
        """Of what still runs when the caller has an error of its own: stop it, and wait."""
        if self.children:
            self._stop(signal.SIGTERM)
        for channel, child in self.children.items():
            channel.close()
            os.waitpid(child.pid, 0)


@dataclass(slots=True)
class _Child:
    """final: its final message, once it is there."""

    index: int
    pid: int
    final: Message | None = None


def _work(work: Callable[[Bus], Any], channel: socket.socket) -> NoReturn:
    """The child. Stop signals are blocked until it knows what to do with them."""
    sc.set_death_signal(signal.SIGKILL)
    take_stops(interrupt_once)
    final = final_message(lambda: disturbed(lambda: work(WorkerBus(channel))))
    send(channel, final)
    os._exit(0 if final[0] == "result" else 1)
