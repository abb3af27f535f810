"""A Windows by QEMU's guest agent in it, as virtio-win brings it; it runs as LocalSystem.

What a program is started with goes through glib's g_spawn, there and in its helper (gspawn-win64-helper.exe): a word
with blanks gets quotes, and quotes get backslashes, as Microsoft's C library reads them back and cmd.exe does not. So
cmd.exe gets words alone that need neither, and a batch file is begun by another one beside it. guest-file-open shares
a file with readers alone (FILE_SHARE_READ in QEMU's qga/commands-win32.c): one that a program still writes to is copied
before it is read.
"""

from __future__ import annotations

import io
import secrets
import time
from contextlib import suppress
from typing import IO

from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.agentline import NAME, AgentError, AgentLine
from vmgen_build.guests.communicators.pauses import pauses
from vmgen_build.guests.communicators.windows import (
    CMD,
    SYSTEM,
    TEMP,
    WORKING,
    WindowsCommunicator,
    batch_arguments,
)
from vmgen_build.limits import Limit

FIRST, LONGEST = 0.02, 1.0
"""Seconds between two questions whether a command has ended: the first, and the most after many."""

THERE = 3
"""Code by which cmd.exe says that something is there."""

BEGIN = """@echo off
cd /d {folder}
{cmd} {arguments}
exit %errorlevel%
"""
"""What begins a batch file. Its own cmd.exe gives its exit code as a program's, whatever ends it."""


class WindowsAgent(AgentLine, WindowsCommunicator):
    """Paths have no blanks where a folder is made or removed, or a batch file lies."""

    allow = "allow it there: the service 'QEMU Guest Agent' must run without --block-rpcs, or be a newer one"

    def new_folder(self) -> str:
        folder = rf"{TEMP}\vmgen-{secrets.token_hex(6)}"
        self.make_folder(folder)
        return folder

    def make_folder(self, remote: str) -> None:
        if self._command("mkdir", remote) != 0:
            raise BuildError(f"cannot make the folder {remote} in the machine: it is there, or its disk is full")

    def send(self, file: IO[bytes], size: int, remote: str) -> None:
        self._write_to(self._opened(remote, "wb"), file, remote)

    def read(self, remote: str, limit: Limit) -> bytes | None:
        """A file that is in use is copied beside itself."""
        try:
            return self._read(self._opened(remote, "rb"), remote, limit)
        except AgentError:
            if not self._is_there(remote):
                return None
        copy = f"{remote}.seen"
        if self._command("copy", "/b", "/y", remote, copy) != 0:
            raise BuildError(f"cannot read {remote} in the machine: a program that uses it shares it with nobody")
        try:
            return self._read(self._opened(copy, "rb"), remote, limit)
        finally:
            self._command("del", "/f", "/q", copy)

    def start(self, program: str, *words: str) -> int:
        return self._number(self.ask("guest-exec", path=program, arg=list(words)), "pid")

    def start_batch(self, script: str, argument: str, output: str) -> int:
        begin = script.rpartition("\\")[0] + r"\begin.bat"
        arguments = batch_arguments(script, argument, output).replace("%", "%%")
        text = BEGIN.format(folder=WORKING, cmd=CMD, arguments=arguments)
        self._put(text.replace("\n", "\r\n").encode("ascii"), begin)
        return self.start(CMD, "/d", "/c", begin)

    def code_of(self, number: int) -> int | None:
        """What was ended by an exception has the exception's code."""
        status = self._status(number)
        if not status["exited"]:
            return None
        return self._number(status, "exitcode" if "exitcode" in status else "signal")

    def end(self, number: int) -> None:
        with suppress(AgentError):
            self._ended(self.start(rf"{SYSTEM}\taskkill.exe", "/f", "/t", "/pid", str(number)), "taskkill")

    def delete(self, remote: str) -> None:
        """What rmdir ends with says too little."""
        self._command("rmdir", "/s", "/q", remote)
        if self._is_there(remote):
            raise BuildError(f"cannot remove the folder {remote} in the machine: what is in it is in use")

    def shut_down(self) -> None:
        """Begin to. Raises AgentError where that is refused."""
        self.order("guest-shutdown", mode="powerdown")

    def _is_there(self, remote: str) -> bool:
        return self._command("if", "exist", remote, "exit", str(THERE)) == THERE

    def _read(self, handle: int, remote: str, limit: Limit) -> bytes:
        goal = io.BytesIO()
        goal.writelines(self._read_from(handle, remote, limit))
        return goal.getvalue()

    def _command(self, *words: str) -> int:
        """What a command of cmd.exe's own ends with."""
        return self._ended(self.start(CMD, "/d", "/c", *words), words[0])

    def _ended(self, number: int, name: str) -> int:
        deadline = time.monotonic() + self._patience
        for pause in pauses(FIRST, LONGEST):
            if (code := self.code_of(number)) is not None:
                return code
            if time.monotonic() > deadline:
                break
            time.sleep(pause)
        raise BuildError(f"{NAME}: {name} does not end within {self._patience:g} s in the machine")
