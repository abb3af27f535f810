"""What a forked child and its parent say to each other: events while it works, and its final message."""

from __future__ import annotations

import pickle
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from vmgen_build.errors import VmgenError
from vmgen_build.events import Bus, Event

Message = tuple[str, Any]
"""Kind and value: "event", "settle", or a final one: "result", "interrupted", "error", "crash"."""


class WorkerBus(Bus):
    """The child's end of the stream: each event goes to the parent's listeners."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, event: Event) -> None:
        super().emit(event)
        send(self._channel, ("event", event))

    def settle(self) -> None:
        """Wait until every event sent so far has been listened to (before the worker takes the terminal)."""
        send(self._channel, ("settle", None))
        self._channel.recv(1)


class WorkerCrashError(Exception):
    """An unexpected exception in the child: a bug. Carries the child's own traceback."""

    def __init__(self, name: str, trace: str) -> None:
        super().__init__(f"{name} in the worker\n{trace}")
        self.trace = trace


def final_message(work: Callable[[], Any]) -> Message:
    """Do the child's work; how it ended, for `send`. A bug is a crash: the parent raises it again, for its report."""
    try:
        return "result", work()
    except KeyboardInterrupt:
        return "interrupted", None
    except VmgenError as error:
        return "error", frozen(error)
    except BaseException as error:
        return "crash", (type(error).__name__, traceback.format_exc())


def receive(channel: socket.socket, bus: Bus) -> Message | None:
    """Wait for the child's next message. Events reach `bus` here; a final message is given, else None.

    Raises EOFError where the child has closed its end: it was killed, unless its final message has come before.
    """
    message = _receive(channel)
    if message is None:
        raise EOFError
    if message[0] == "event":
        bus.emit(message[1])
        return None
    if message[0] == "settle":
        channel.send(b"\0")
        return None
    return message


def raise_failure(final: Message | None, status: int) -> NoReturn:
    """Raise what a child's final message says that is no result. status: what it ended with, where there is none."""
    kind: str = final[0] if final else ""
    value: Any = final[1] if final else None
    if kind == "interrupted":
        raise KeyboardInterrupt
    if kind == "error":
        raise thawed(value)
    if kind == "crash":
        raise WorkerCrashError(*value)
    raise VmgenError(f"the worker process was killed (status {status}); was the machine out of memory?")


def frozen(error: VmgenError) -> tuple[type[VmgenError], tuple[Any, ...], dict[str, Any]]:
    """An error with all that it carries, in a form that `send` takes."""
    return type(error), error.args, dict(error.__dict__)


def thawed(parts: tuple[type[VmgenError], tuple[Any, ...], dict[str, Any]]) -> VmgenError:
    kind, args, state = parts
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


def send(channel: socket.socket, message: Message) -> None:
    """To nobody where the parent is gone."""
    data = pickle.dumps(message)
    with suppress(BrokenPipeError):
        channel.sendall(struct.pack("!I", len(data)) + data)


def _receive(channel: socket.socket) -> Message | None:
    head = _read_exactly(channel, 4)
    if head is None:
        return None
    body = _read_exactly(channel, struct.unpack("!I", head)[0])
    if body is None:
        return None
    message: Message = pickle.loads(body)  # noqa: S301 - from a child of our own
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
