"""Speaking to QEMU itself over its control socket: QEMU Machine Protocol, docs/interop/qmp-spec.txt."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vmgen_build.errors import BuildError
from vmgen_build.limits import MACHINE_LINE

PATIENCE = 60.0
"""Seconds that an answer may take."""


class QmpError(BuildError):
    """QEMU refuses a command, or does not answer any more."""


class Qmp:
    """One command after the other. Of events only restarts of the machine are counted, as far as they have come with
    an answer. Raises QmpError."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._stream: Any = None
        self.restarts = 0

    def execute(self, command: str, **arguments: Any) -> Any:
        """Its answer's "return". The words of names that have them are joined by "_" here, and by "-" there."""
        with self._reported():
            if self._stream is None:
                self._greet()
            return self._ask(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    def add_fd(self, fd: int) -> int:
        """Give QEMU an open file; the number N of its /dev/fdset/N. The caller may close its own."""
        with self._reported():
            if self._stream is None:
                self._greet()
            line = json.dumps({"execute": "add-fd"}) + "\n"
            socket.send_fds(self._control, [line.encode()], [fd])
            return int(self._answer()["fdset-id"])

    def give_fd(self, name: str, fd: int) -> None:
        """Give QEMU an open socket by a name, under which one command takes it. The caller may close its own."""
        with self._reported():
            if self._stream is None:
                self._greet()
            line = json.dumps({"execute": "getfd", "arguments": {"fdname": name}}) + "\n"
            socket.send_fds(self._control, [line.encode()], [fd])
            self._answer()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _greet(self) -> None:
        self._control.settimeout(PATIENCE)
        self._stream = self._control.makefile("r", encoding="utf-8")
        self._stream.readline(MACHINE_LINE.amount)
        self._ask("qmp_capabilities", {})

    def _ask(self, command: str, arguments: dict[str, Any]) -> Any:
        words = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        self._control.sendall((json.dumps(words) + "\n").encode())
        return self._answer()

    def _answer(self) -> Any:
        while True:
            answer = json.loads(self._stream.readline(MACHINE_LINE.amount))
            self.restarts += answer.get("event") == "RESET"
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(str(answer["error"].get("desc", answer["error"])))

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise QmpError(f"QEMU does not answer: {error}") from error
