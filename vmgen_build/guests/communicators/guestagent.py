"""A machine by QEMU's guest agent in it, which runs as root, and forgets a process once its end was asked for."""

from __future__ import annotations

import base64
import shlex
import time
from pathlib import Path
from typing import Any

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.communicators.agentline import NAME, AgentLine
from vmgen_build.guests.communicators.pauses import pauses
from vmgen_build.guests.communicators.scripts import SCRIPT
from vmgen_build.guests.model import Communicator, Ran, no_answer
from vmgen_build.limits import GUEST_FILE

OWN = 3600.0
"""Seconds for a script whose caller gives it no time."""

FIRST, LONGEST = 0.01, 0.25
"""Seconds between two questions whether a script has ended: the first, and the most after many."""

SHELL = "/bin/sh"


class GuestAgent(AgentLine, Communicator):
    """Of a Linux."""

    allow = (
        "allow it there: on Red Hat's systems remove guest-exec, guest-exec-status and the guest-file commands from"
        " BLOCK_RPCS (or BLACKLIST_RPC) in /etc/sysconfig/qemu-ga and restart qemu-guest-agent; or write communicator ="
        " ssh"
    )

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
            status = self._status(process)
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
            self._write_to(handle, file, remote)

    def get(self, remote: str, local: Path) -> None:
        handle = self._opened(remote, "r")
        with local.open("wb") as file:
            file.writelines(self._read_from(handle, remote, GUEST_FILE))

    def delete(self, remote: str) -> None:
        ran = self.run(f"rm -rf -- {shlex.quote(remote)}", self._patience)
        if ran.code != 0:
            raise BuildError(f"cannot remove {remote} in the machine: {ran.out.strip()}")


def _making(remote: str, mode: int) -> str:
    """sh: makes an empty file that has its mode before anything is in it."""
    name = shlex.quote(remote)
    return f"umask 077; : >{name} && chmod {mode:04o} -- {name}"
