"""A machine by QEMU's guest agent in it: JSON over a virtio serial port (QEMU's docs/interop/qemu-ga-ref).

An answer is a line. 0xFF before a request, and one of `guest-sync-delimited`, make both ends begin anew, whatever stood
on the wire before. The agent runs as root, and forgets a process once its end was asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import shlex
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.pauses import pauses
from vmgen_build.guests.communicators.scripts import SCRIPT
from vmgen_build.guests.model import Communicator, Ran, no_answer
from vmgen_build.host.socketlines import SocketLines
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import GUEST_FILE, MACHINE_LINE
from vmgen_build.text import clean

NAME = "the machine's guest agent"

PATIENCE = 60.0
"""Seconds for one answer: each comes at once, but an emulated processor may be at work."""

OWN = 3600.0
"""Seconds for a script whose caller gives it no time."""

FIRST, LONGEST = 0.01, 0.25
"""Seconds between two questions whether a script has ended: the first, and the most after many."""

PIECE = 48 << 10
"""Bytes of a file in one request. The agent reads up to 48 MB at once."""

SHELL = "/bin/sh"

REFUSED = (
    "allow it there: on Red Hat's systems remove guest-exec, guest-exec-status and the guest-file commands from"
    " BLOCK_RPCS (or BLACKLIST_RPC) in /etc/sysconfig/qemu-ga and restart qemu-guest-agent; or write communicator = ssh"
)


class AgentError(BuildError):
    """The agent refuses a command."""


class GuestAgent(Communicator):
    """console: what the machine last showed. Raises BuildError when it stops, falls silent or says nonsense."""

    def __init__(self, wire: socket.socket, console: Callable[[], str], patience: float = PATIENCE) -> None:
        self._wire, self._console, self._patience = wire, console, patience
        self._lines = SocketLines(wire, MACHINE_LINE.amount)

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
                    return True
        except TimeoutError:
            return False
        except OSError as error:
            raise self._stopped() from error

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns; "_" in the names of arguments stands for "-". Raises AgentError, BuildError."""
        self._wire.settimeout(self._patience)
        try:
            self._wire.sendall(_line(command, {name.replace("_", "-"): value for name, value in arguments.items()}))
            answer = self._answer(time.monotonic() + self._patience)
        except TimeoutError as error:
            text = f"{NAME} does not answer to {command} within {self._patience:g} s"
            raise BuildError(f"{text}\n{self._console()}") from error
        except OSError as error:
            raise self._stopped() from error
        if "return" in answer:
            return answer["return"]
        raise AgentError(_refusal(command, answer.get("error")))

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """It is handed over by its standard input; timeout(1) ends what takes longer."""
        seconds = OWN if timeout is None else timeout
        words = ["-k", "5", f"{max(seconds, 0.001):.3f}", SHELL, "-c", SCRIPT]
        data = base64.b64encode(script.encode()).decode()
        arguments = {"path": "timeout", "arg": words, "input_data": data, "capture_output": True}
        process = self._number(self.ask("guest-exec", **arguments), "pid")
        ran = self._ended(process, time.monotonic() + seconds + self._patience)
        if ran is None or (ran.code == TIMED_OUT and not ran.out):
            return no_answer(timeout)
        return ran

    def _ended(self, process: int, deadline: float) -> Ran | None:
        """None where it has not ended in time."""
        waits = pauses(FIRST, LONGEST)
        while time.monotonic() < deadline:
            status = self.ask("guest-exec-status", pid=process)
            if not isinstance(status, dict) or not isinstance(status.get("exited"), bool):
                raise self._nonsense("guest-exec-status", status)
            if status["exited"]:
                return self._ran(status)
            time.sleep(next(waits))
        return None

    def _ran(self, status: dict[str, Any]) -> Ran:
        if status.get("out-truncated"):
            raise BuildError(f"{NAME} cuts off what a script prints; it printed too much")
        code = status.get("exitcode", 128 + status["signal"] if isinstance(status.get("signal"), int) else None)
        if not isinstance(code, int) or isinstance(code, bool):
            raise self._nonsense("guest-exec-status", status)
        texts = [self._data(status.get(stream, ""), "guest-exec-status") for stream in ("out-data", "err-data")]
        return Ran(code, b"".join(texts).decode(errors="replace"))

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        made = self.run(_making(remote, mode), self._patience)
        if made.code != 0:
            raise BuildError(f"cannot write {remote} in the machine: {made.out.strip()}")
        handle = self._opened(remote, "r+")
        with local.open("rb") as file:
            while piece := file.read(PIECE):
                self._write(handle, piece, remote)
        self.ask("guest-file-close", handle=handle)

    def _write(self, handle: int, piece: bytes, remote: str) -> None:
        while piece:
            data = base64.b64encode(piece).decode()
            written = self._number(self.ask("guest-file-write", handle=handle, buf_b64=data), "count")
            if not 0 < written <= len(piece):
                raise BuildError(f"cannot write {remote} in the machine: its guest agent wrote {written} bytes")
            piece = piece[written:]

    def get(self, remote: str, local: Path) -> None:
        handle, left = self._opened(remote, "r"), GUEST_FILE.amount
        with local.open("wb") as file:
            while True:
                answer = self.ask("guest-file-read", handle=handle, count=PIECE)
                if not isinstance(answer, dict):
                    raise self._nonsense("guest-file-read", answer)
                data = self._data(answer.get("buf-b64"), "guest-file-read")
                left -= len(data)
                if left < 0:
                    raise BuildError(f"{remote} of the machine: {GUEST_FILE.exceeded}")
                file.write(data)
                if answer.get("eof") is True or not data:
                    break
        self.ask("guest-file-close", handle=handle)

    def delete(self, remote: str) -> None:
        ran = self.run(f"rm -rf -- {shlex.quote(remote)}", self._patience)
        if ran.code != 0:
            raise BuildError(f"cannot remove {remote} in the machine: {ran.out.strip()}")

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

    def _stopped(self) -> BuildError:
        return BuildError(f"the machine stopped\n{self._console()}")

    def _nonsense(self, what: str, answer: object) -> BuildError:
        shown = clean(repr(answer)[:200])
        return BuildError(f"{NAME} answers {shown} to {what}, which its protocol has not\n{self._console()}")


def _line(command: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"


def _refusal(command: str, error: Any) -> str:
    reason = clean(str(error.get("desc", ""))[:300]) if isinstance(error, dict) else ""
    kind = error.get("class") if isinstance(error, dict) else None
    text = f"{NAME} refuses {command}: {reason or 'no reason'}"
    return f"{text}; {REFUSED}" if kind == "CommandNotFound" or "disabled" in reason else text


def _making(remote: str, mode: int) -> str:
    """sh: makes an empty file that has its mode before anything is in it."""
    name = shlex.quote(remote)
    return f"umask 077; : >{name} && chmod {mode:04o} -- {name}"
