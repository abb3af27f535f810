"""What QEMU's guest agent is asked, in whatever system it runs: JSON over a virtio serial port (QEMU's
docs/interop/qemu-ga-ref).

An answer is a line. 0xFF before a request, and one of `guest-sync-delimited`, make both ends begin anew, whatever stood
on the wire before.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, ClassVar

from vmgen_build.errors import BuildError
from vmgen_build.host.socketlines import SocketLines
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import MACHINE_LINE, Limit
from vmgen_build.text import clean

NAME = "the machine's guest agent"

PATIENCE = 60.0
"""Seconds for one answer: each comes at once, but an emulated processor may be at work."""

REFUSAL = 5.0
"""Seconds in which an order is refused that has no answer where it is followed."""

PIECE = 48 << 10
"""Bytes of a file in one request. The agent reads up to 48 MB at once."""


class AgentError(BuildError):
    """The agent refuses a command."""


class AgentStopped(BuildError):
    """Nobody is there any more."""


class AgentLine:
    """console: what the machine last showed. Raises BuildError when it stops, falls silent or says nonsense."""

    allow: ClassVar[str]
    """How a command is allowed that the agent refuses as a whole, as a half-sentence."""

    def __init__(self, wire: socket.socket, console: Callable[[], str], patience: float = PATIENCE) -> None:
        self._wire, self._console, self._patience = wire, console, patience
        self._lines = SocketLines(wire, MACHINE_LINE.amount)
        self._is_astray = False

    def answers(self, seconds: float) -> bool:
        """Whether it answers within these seconds; what stood on the wire before is gone then."""
        number = random.randrange(1 << 31)  # noqa: S311 - it tells an answer from an older one
        self._wire.settimeout(seconds)
        try:
            self._wire.sendall(b"\xff" + _line("guest-sync-delimited", {"id": number}))
            deadline = time.monotonic() + seconds
            while True:
                answer = self._answer(deadline)
                if answer.get("return") == number:
                    self._is_astray = False
                    return True
        except TimeoutError:
            return False
        except OSError as error:
            raise self._stopped() from error

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns; "_" in the names of arguments stands for "-". Raises AgentError, BuildError."""
        try:
            answer = self._asked(command, arguments, self._patience)
        except TimeoutError as error:
            text = f"{NAME} does not answer to {command} within {self._patience:g} s"
            raise BuildError(f"{text}\n{self._console()}") from error
        if "return" in answer:
            return answer["return"]
        raise self._refused(command, answer.get("error"))

    def order(self, command: str, **arguments: Any) -> None:
        """What has no answer where it is followed: the system may go down by it. As `ask`."""
        with suppress(TimeoutError, AgentStopped):
            answer = self._asked(command, arguments, REFUSAL)
            if "return" not in answer:
                raise self._refused(command, answer.get("error"))

    def _asked(self, command: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        """An answer that came too late must not be taken for that of the next question. Raises TimeoutError."""
        if self._is_astray and not self.answers(self._patience):
            raise TimeoutError
        self._wire.settimeout(seconds)
        try:
            self._wire.sendall(_line(command, {name.replace("_", "-"): value for name, value in arguments.items()}))
            return self._answer(time.monotonic() + seconds)
        except TimeoutError:
            self._is_astray = True
            raise
        except OSError as error:
            raise self._stopped() from error

    def _refused(self, command: str, error: Any) -> AgentError:
        reason = clean(str(error.get("desc", ""))[:300]) if isinstance(error, dict) else ""
        kind = error.get("class") if isinstance(error, dict) else None
        text = f"{NAME} refuses {command}: {reason or 'no reason'}"
        return AgentError(f"{text}; {self.allow}" if kind == "CommandNotFound" or "disabled" in reason else text)

    def _write_to(self, handle: int, file: IO[bytes], remote: str) -> None:
        """All of it, and the handle is closed."""
        while piece := file.read(PIECE):
            self._write(handle, piece, remote)
        self.ask("guest-file-close", handle=handle)

    def _read_from(self, handle: int, remote: str, limit: Limit) -> Iterator[bytes]:
        """To its end; then the handle is closed. Raises BuildError for more than the limit."""
        left = limit.amount
        while True:
            answer = self.ask("guest-file-read", handle=handle, count=PIECE)
            if not isinstance(answer, dict):
                raise self._nonsense("guest-file-read", answer)
            data = self._data(answer.get("buf-b64"), "guest-file-read")
            left -= len(data)
            if left < 0:
                self.ask("guest-file-close", handle=handle)
                raise BuildError(f"{remote} of the machine: {limit.exceeded}")
            yield data
            if answer.get("eof") is True or not data:
                break
        self.ask("guest-file-close", handle=handle)

    def _status(self, process: int) -> dict[str, Any]:
        """Of a process that was started; its "exited" is there."""
        status = self.ask("guest-exec-status", pid=process)
        if not isinstance(status, dict) or not isinstance(status.get("exited"), bool):
            raise self._nonsense("guest-exec-status", status)
        return status

    def _write(self, handle: int, piece: bytes, remote: str) -> None:
        while piece:
            data = base64.b64encode(piece).decode()
            written = self._number(self.ask("guest-file-write", handle=handle, buf_b64=data), "count")
            if not 0 < written <= len(piece):
                raise BuildError(f"cannot write {remote} in the machine: its guest agent wrote {written} bytes")
            piece = piece[written:]

    def _opened(self, remote: str, mode: str) -> int:
        handle = self.ask("guest-file-open", path=remote, mode=mode)
        if not isinstance(handle, int):
            raise self._nonsense("guest-file-open", handle)
        return handle

    def _number(self, answer: Any, name: str) -> int:
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._nonsense(name, answer)
        return value

    def _data(self, text: Any, what: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise self._nonsense(what, text) from error

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The next line that is an object. Raises TimeoutError, OSError, BuildError."""
        while True:
            line = self._next_line(deadline)
            if not line.strip():
                continue
            try:
                answer = parse_json(line, MACHINE_LINE)
            except ValueError:
                continue
            if isinstance(answer, dict):
                return answer

    def _next_line(self, deadline: float) -> bytes:
        """Without what stood before a 0xFF in it."""
        try:
            line = self._lines.next(deadline)
        except EOFError as error:
            raise self._stopped() from error
        except ValueError as error:
            raise BuildError(f"of an answer of {NAME} {MACHINE_LINE.exceeded}\n{self._console()}") from error
        return line.rpartition(b"\xff")[2]

    def _stopped(self) -> AgentStopped:
        return AgentStopped(f"the machine stopped\n{self._console()}")

    def _nonsense(self, what: str, answer: object) -> BuildError:
        shown = clean(repr(answer)[:200])
        return BuildError(f"{NAME} answers {shown} to {what}, which its protocol has not\n{self._console()}")


def _line(command: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
