"""Disks that stand still while they are kept: in a machine of the user's, ordered over its second serial port."""

from __future__ import annotations

import socket
import time

from vmgen_build.errors import BuildError
from vmgen_build.guests.machines.model import PATIENCE
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.agent import PORT
from vmgen_build.host.socketlines import SocketLines
from vmgen_build.limits import NODE_LINE
from vmgen_build.plan.text.render import Renderer

STOPPED = "the machine stopped while its file systems stood still"


class Freezer:
    """wire: the host's end of the serial port. Raises BuildError where the machine does not do as it is asked."""

    def __init__(self, wire: socket.socket, communicator: Communicator, patience: float = PATIENCE) -> None:
        self._wire, self._communicator, self._patience = wire, communicator, patience
        self._lines = SocketLines(wire, NODE_LINE.amount)

    def freeze(self) -> None:
        """What runs commands there has ended before anything stands still."""
        begun = self._communicator.run(Renderer(None).sh("vm/freezer.sh.j2", port=PORT), PATIENCE)
        if begun.code != 0:
            raise BuildError(f"the machine's file systems cannot be frozen: {begun.out.strip()}")
        self._wait_for("ready")
        self._order("freeze", "frozen")

    def thaw(self) -> None:
        self._order("thaw", "thawed")

    def _order(self, order: str, answer: str) -> None:
        try:
            self._wire.settimeout(self._patience)
            self._wire.sendall(f"{order}\n".encode())
        except OSError as error:
            raise BuildError(STOPPED) from error
        self._wait_for(answer)

    def _wait_for(self, answer: str) -> None:
        """Other lines are noise: a system may write to every serial port while it starts."""
        deadline = time.monotonic() + self._patience
        try:
            while self._lines.next(deadline).strip() != answer.encode():
                continue
        except (TimeoutError, ValueError) as error:
            raise BuildError(f"the machine does not say within {self._patience:g} s that it is {answer}") from error
        except (OSError, EOFError) as error:
            raise BuildError(STOPPED) from error
