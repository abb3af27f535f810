"""A running command, and the ways of talking with one that all runners share."""

from __future__ import annotations

import io
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from vmgen_build.errors import TIMED_OUT, BuildError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.runners.model import OWN, Attached, Done, Runner
from vmgen_build.guests.runners.stream import Pace, Tail
from vmgen_build.host.lines import CHUNK, Lines
from vmgen_build.limits import NODE_LINE, NODE_OUTPUT, NODE_SILENCE
from vmgen_build.text import clean

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LINGER = 5.0
"""Seconds to wait for more output once a command has ended: a child of its may hold the streams open for ever."""


WAITING = 1000
"""Lines of an attached process that wait to be received, at most."""


class Process(ABC):
    """One command, started. Each method may run in a thread of its own, each stream has one reader."""

    grace = 0.0
    """Seconds after a timeout that its own host gets to end it."""

    def __init__(self, what: str) -> None:
        self.what = what

    @abstractmethod
    def write(self, data: bytes) -> None:
        """All of `data` to standard input. BrokenPipeError where nobody reads it."""

    @abstractmethod
    def close_input(self) -> None: ...

    @abstractmethod
    def read_out(self, size: int) -> bytes:
        """Some bytes; b"" at the end. ConnectionLost where the end is not the command's own."""

    @abstractmethod
    def read_err(self, size: int) -> bytes: ...

    @abstractmethod
    def ended(self) -> bool: ...

    @abstractmethod
    def wait(self, timeout: float | None) -> int | None:
        """The exit code, 128 + n after signal n; None when the time is over."""

    @abstractmethod
    def kill(self) -> None:
        """End it with its children: SIGTERM, then SIGKILL. It may have ended."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the streams, so that whoever reads or writes one returns."""


class Feeder:
    """Hands `data` to a command's standard input in a thread, then closes it."""

    def __init__(self, process: Process, data: bytes | BinaryIO) -> None:
        self._process = process
        self.error: Exception | None = None
        if data == b"":
            process.close_input()
            return
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        threading.Thread(target=self._feed, args=(source,), daemon=True).start()

    def _feed(self, source: BinaryIO) -> None:
        try:
            while chunk := source.read(CHUNK):
                self._process.write(chunk)
        except BrokenPipeError:
            pass
        except Exception as error:
            self.error = error
            self._process.kill()
        finally:
            with suppress(BrokenPipeError):
                self._process.close_input()


Event = tuple[int, "bytes | BaseException"]


class Streams:
    """Both output streams of a command, pumped into the calling thread."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._events: queue.Queue[Event] = queue.Queue(maxsize=32)
        self._stopped = False
        for number, read in ((0, process.read_out), (1, process.read_err)):
            threading.Thread(target=self._pump, args=(number, read), daemon=True).start()

    def _pump(self, number: int, read: Callable[[int], bytes]) -> None:
        chunk: bytes | BaseException = b" "
        while chunk and not isinstance(chunk, BaseException) and not self._stopped:
            try:
                chunk = read(CHUNK)
            except BaseException as error:
                chunk = error
            while not self._stopped:
                with suppress(queue.Full):
                    self._events.put((number, chunk), timeout=0.5)
                    break

    def stop(self) -> None:
        self._stopped = True

    def __iter__(self) -> Iterator[Event]:
        """(0 or 1, bytes) as they come; (-1, b"") now and then, when nothing comes."""
        still, quiet_since = 2, time.monotonic()
        while still:
            try:
                number, chunk = self._events.get(timeout=0.2)
            except queue.Empty:
                if self._process.ended() and time.monotonic() - quiet_since > LINGER:
                    return
                yield -1, b""
                continue
            quiet_since = time.monotonic()
            if isinstance(chunk, BaseException):
                raise chunk
            still -= not chunk
            yield number, chunk


class ProcessRunner(Runner):
    """A runner that can start a process."""

    @abstractmethod
    def start(self, argv: Sequence[str], timeout: float | None = None) -> Process:
        """timeout: what the process's own host can see to."""

    def run(
        self,
        argv: Sequence[str],
        *,
        data: bytes | BinaryIO = b"",
        timeout: float | None = OWN,
        output: Callable[[str], None] | None = None,
    ) -> Done:
        began = time.monotonic()
        with self._started(argv, timeout) as process:
            feeder = Feeder(process, data)
            out, err = Tail(), Tail()
            expired = _pump(process, (out, err), output, None if timeout is None else began + timeout + process.grace)
            left = OWN if timeout is None else max(0.0, began + timeout + process.grace - time.monotonic())
            code = None if expired else process.wait(left)
            if feeder.error is not None:
                raise feeder.error
        late = timeout is not None and time.monotonic() - began >= timeout and code in (None, TIMED_OUT, 128 + 9)
        return Done(TIMED_OUT if late or code is None else code, out.text(), err.text())

    @contextmanager
    def read(self, argv: Sequence[str], *, data: bytes | BinaryIO = b"") -> Iterator[BinaryIO]:
        with self._started(argv, None) as process:
            pace = Pace(process.close, f"'{process.what}' on {self.name}")
            feeder, err, raw = Feeder(process, data), Tail(), OutStream(process, pace)
            drain = threading.Thread(target=_drain, args=(process.read_err, err), daemon=True)
            drain.start()
            try:
                yield cast(BinaryIO, io.BufferedReader(raw, 1 << 18))
            finally:
                pace.stop()
            if not raw.at_end:
                return
            code = process.wait(NODE_SILENCE.amount)
            drain.join(LINGER)
            if feeder.error is not None:
                raise feeder.error
            if code != 0:
                raise BuildError(failure(f"'{process.what}' on {self.name}", code or TIMED_OUT, err.text()))

    @contextmanager
    def attach(self, argv: Sequence[str], *, patience: float = 120.0) -> Iterator[Attached]:
        with self._started(argv, None) as process:
            attached = AttachedProcess(process, self.name)
            try:
                yield attached
            except BaseException:
                with suppress(VmgenError):
                    attached.end(patience)
                raise
            attached.end(patience)

    @contextmanager
    def _started(self, argv: Sequence[str], timeout: float | None) -> Iterator[Process]:
        """Ends what runs on when the context is left."""
        process = self.start(argv, timeout)
        try:
            yield process
        finally:
            try:
                if not process.ended():
                    process.kill()
            finally:
                process.close()


def named(argv: Sequence[str]) -> str:
    """A command for messages: its first words, of a script among them the beginning."""
    return " ".join(word if len(word) <= 40 else f"{clean(word[:40].split(chr(10))[0])}..." for word in argv[:3])


def _pump(
    process: Process, tails: tuple[Tail, Tail], output: Callable[[str], None] | None, deadline: float | None
) -> bool:
    """Take both streams to their ends. Whether `deadline` (of time.monotonic) came first."""
    streams, total = Streams(process), 0
    lines = [Lines(output), Lines(output)] if output else []
    try:
        for number, chunk in streams:
            assert isinstance(chunk, bytes)
            total += len(chunk)
            if total > NODE_OUTPUT.amount:
                raise BuildError(f"'{process.what}' writes without end: {NODE_OUTPUT.exceeded}")
            if number >= 0:
                tails[number].add(chunk)
                if lines:
                    lines[number].add(chunk, final=not chunk)
            if deadline is not None and time.monotonic() > deadline and not process.ended():
                return True
    finally:
        streams.stop()
    return False


def _drain(read: Callable[[int], bytes], tail: Tail) -> None:
    """Read to the end; a cut connection is for the reader of the other stream to report."""
    with suppress(Exception):
        while chunk := read(CHUNK):
            tail.add(chunk)


def failure(what: str, code: int, err: str) -> str:
    """A message with the last lines that the command wrote to its standard error."""
    lines = [line for line in err.splitlines() if line.strip()][-5:]
    return "\n".join([f"{what} failed with exit code {code}", *(f"  {shown(line)}" for line in lines)])


class OutStream(io.RawIOBase):
    """Standard output of a process. at_end: it was read to its end."""

    def __init__(self, process: Process, pace: Pace) -> None:
        self._process, self._pace, self.at_end = process, pace, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        chunk = self._pace.take(lambda: self._process.read_out(len(view)))
        view[: len(chunk)] = chunk
        self.at_end = not chunk
        return len(chunk)


class AttachedProcess(Attached):
    def __init__(self, process: Process, host: str) -> None:
        self._process, self._host = process, host
        self._err, self._done = Tail(), cast("Done | None", None)
        self._lines: queue.Queue[str | BaseException | None] = queue.Queue(maxsize=WAITING)
        self._drainer = threading.Thread(target=_drain, args=(process.read_err, self._err), daemon=True)
        self._drainer.start()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """What nobody receives is dropped, so that the process never waits for us."""

        def keep(line: str) -> None:
            with suppress(queue.Full):
                self._lines.put_nowait(line)

        lines = Lines(keep, NODE_LINE.amount)
        try:
            while chunk := self._process.read_out(CHUNK):
                lines.add(chunk)
            lines.add(b"", final=True)
            self._lines.put(None)
        except Exception as error:
            self._lines.put(error)

    def send(self, line: str) -> None:
        try:
            self._process.write(f"{line}\n".encode())
        except BrokenPipeError:
            code = self._process.wait(LINGER)
            raise BuildError(failure(f"'{self._process.what}' on {self._host}", code or 0, self._errors())) from None

    def receive(self, timeout: float | None = None) -> str | None:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"'{self._process.what}' on {self._host} wrote nothing for {timeout} s") from None
        if not isinstance(line, str):
            self._lines.put(line)
        if isinstance(line, BaseException):
            raise line
        return line

    def end(self, timeout: float = 120.0) -> Done:
        if self._done is None:
            with suppress(BrokenPipeError):
                self._process.close_input()
            code = self._process.wait(timeout)
            if code is None:
                self._process.kill()
            left: list[str] = []
            with suppress(TimeoutError):
                while len(left) < WAITING and (line := self.receive(LINGER)) is not None:
                    left.append(line + "\n")
            self._done = Done(TIMED_OUT if code is None else code, "".join(left), self._errors())
        return self._done

    def _errors(self) -> str:
        """Standard error of a process that has ended: what is still on its way is waited for."""
        self._drainer.join(LINGER)
        return self._err.text()
