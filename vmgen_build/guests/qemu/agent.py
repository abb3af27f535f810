"""Speaking to a booted machine over its second serial port, with the agent that its throwaway copy was given.

A request is one line, `TAG ID SECONDS LENGTH BASE64`, and so is its answer, `TAG ID CODE LENGTH BASE64`. Lines that are
neither are noise. The agent says `TAG again` for a line that it could not read, and gives the answer that it has for
a request that it has already run: a line that was damaged is sent once more, and no script runs twice. It says
`TAG hello` when it starts.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.model import PATH, Communicator, Ran, no_answer
from vmgen_build.host.socketlines import SocketLines
from vmgen_build.limits import MACHINE_LINE
from vmgen_build.plan.text.render import Renderer

TAG = "@vmgen-verify"
PORT = "/dev/ttyS1"
WORK = "/run/vmgen-verify"

PIECE = 8192
"""Bytes of a file in one request. A tty keeps 64 KiB for a reader that is busy, and drops what is more."""

TRIES = 6

GRACE = 60.0
"""Seconds beyond a script's own time after which a machine that is silent is taken for dead."""

PATIENCE = 60.0
"""Seconds for what has no time of its own: a piece of a file that is written or read."""

_ANSWER = re.compile(r" ([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18}) ([A-Za-z0-9+/=]*)")


def agent_script(port: str = PORT, work: str = WORK) -> str:
    """The guest's end."""
    return Renderer(None).sh("vm/verify-agent.sh.j2", port=port, tag=TAG, work=work, path=PATH)


def agent_unit(script: str) -> str:
    """The systemd unit that starts the script at this path, as early as scripts run."""
    return Renderer(None).sh("vm/verify-agent.service.j2", script=script)


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    out: bytes


class Agent(Communicator):
    """The host's end. console: what the machine last showed. Raises BuildError when it stops or falls silent.

    No question waits for ever: one without a time of its own has PATIENCE, and each `grace` beyond its time.
    """

    def __init__(
        self, wire: socket.socket, console: Callable[[], str], *, work: str = WORK, grace: float = GRACE
    ) -> None:
        self._wire, self._console, self._work, self._grace = wire, console, work, grace
        self._lines = SocketLines(wire, MACHINE_LINE.amount)
        self._id = 0

    def greeted(self, seconds: float) -> bool:
        """Whether the agent says that it started, within these seconds."""
        deadline = time.monotonic() + seconds
        while (line := self._line(deadline)) is not None:
            if line == f"{TAG} hello":
                return True
        return False

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """A script that takes longer than `timeout` seconds ends with code 124, as by timeout(1)."""
        data = script.encode()
        if len(data) > PIECE:
            place = f"{self._work}/long"
            self._write(data, place)
            data = f"exec sh {place}".encode()
        answer = self._ask(data, timeout)
        if answer.code == TIMED_OUT and not answer.out:
            return no_answer(timeout)
        return Ran(answer.code, answer.out.decode(errors="replace"))

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        self._write(local.read_bytes(), remote, f"chmod {mode:04o} -- {shlex.quote(remote)}")

    def get(self, remote: str, local: Path) -> None:
        name, piece, at = shlex.quote(remote), PIECE * 8, 0
        size = int(self._or_fail(f"wc -c <{name}"))
        with local.open("wb") as file:
            while at < size:
                data = self._or_fail(f"tail -c +{at + 1} -- {name} | head -c {min(piece, size - at)}")
                if not data:
                    raise BuildError(f"cannot read {remote} in the booted machine: it became shorter")
                file.write(data)
                at += len(data)

    def delete(self, remote: str) -> None:
        self._or_fail(f"rm -rf -- {shlex.quote(remote)}")

    def _write(self, data: bytes, remote: str, then: str = ":") -> None:
        """then: a command for the file before anything is in it. Each request costs an emulated machine most of what it
        takes."""
        name = shlex.quote(remote)
        first = f": >{name} && {then}"
        for at in range(0, len(data) or 1, PIECE):
            piece = base64.b64encode(data[at : at + PIECE]).decode()
            self._or_fail(f"{first} && printf %s {piece} | base64 -d >>{name}")
            first = ":"

    def _or_fail(self, script: str) -> bytes:
        answer = self._ask(script.encode(), None)
        if answer.code != 0:
            raise BuildError(f"in the booted machine: {answer.out.decode(errors='replace').strip()}")
        return answer.out

    def _ask(self, script: bytes, timeout: float | None) -> _Answer:
        self._id += 1
        # No request is empty: its line has five words.
        data = base64.b64encode(script + b"\n").decode()
        # timeout(1): 0 is no limit, and so is what is rounded to it.
        limit = f"{max(timeout, 0.001):.3f}" if timeout is not None else "0"
        request = f"{TAG} {self._id} {limit} {len(data)} {data}\n".encode()
        deadline = time.monotonic() + (PATIENCE if timeout is None else timeout) + self._grace
        for _ in range(TRIES):
            self._send(request)
            answer = self._answer(deadline)
            if answer is not None:
                return answer
        raise BuildError(f"the machine's answers are damaged on their way\n{self._console()}")

    def _answer(self, deadline: float) -> _Answer | None:
        """None where the request must be sent again."""
        while (line := self._line(deadline)) is not None:
            _, tag, rest = line.partition(TAG)
            answer = _parsed(rest, self._id)
            if answer is not None:
                return answer
            late = re.match(r" (\d+) ", rest)
            if tag and (late is None or int(late[1]) >= self._id):
                return None
        raise BuildError(f"the machine does not answer any more\n{self._console()}")

    def _stopped(self) -> BuildError:
        return BuildError(f"the machine stopped\n{self._console()}")

    def _send(self, data: bytes) -> None:
        self._wire.settimeout(self._grace)
        try:
            self._wire.sendall(data)
        except OSError as error:
            raise self._stopped() from error

    def _line(self, deadline: float) -> str | None:
        """The next line without its end; None when the time is up."""
        try:
            line = self._lines.next(deadline)
        except TimeoutError:
            return None
        except (OSError, EOFError) as error:
            raise self._stopped() from error
        except ValueError as error:
            raise BuildError(f"of an answer of the machine {MACHINE_LINE.exceeded}\n{self._console()}") from error
        return line.decode("ascii", errors="replace").strip("\r")


def _parsed(text: str, number: int) -> _Answer | None:
    """The answer to this request, if what follows a tag is one and whole."""
    match = _ANSWER.fullmatch(text)
    if match is None or int(match[1]) != number or len(match[4]) != int(match[3]):
        return None
    try:
        return _Answer(int(match[2]), base64.b64decode(match[4], validate=True))
    except binascii.Error:
        return None
